"""The files that an import may write and replace: case names become file names, and no file of the user is deleted."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mandseg.data.case import Case
from mandseg.data.importers.cohort_folder import Imported
from mandseg.data.importers.folder import Conversion, Layout, import_folder
from mandseg.data.splits import Splitting
from mandseg.system.errors import UserError

PAIR = {"image": "{case}_image.nii.gz", "reference": "{case}_reference.nii.gz"}


def import_pair(source: Path, dest: Path, patterns: dict[str, str] | None = None, overwrite: bool = False) -> Imported:
    layout = Layout(None, PAIR if patterns is None else patterns)
    return import_folder(source, dest, layout, splitting=Splitting(all_in="test"), overwrite=overwrite)


BAD_NAMES = ["../../../escaped", "a/b", "a\\b", ".hidden", "a\x07b", "a\u2028b", "x" * 151, "é" * 76]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_nothing_is_written_for_a_case_whose_name_is_no_file_name(
    tmp_path: Path, make_case: Callable[..., Case], name: str
) -> None:
    case = make_case("a")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "cohort" / "cases.csv").write_text(
        f"case,image,label\n{name},{case.image.name},{case.reference.name}\n"
    )
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=r"case_id '.*cannot be a file name: "):
        import_folder(
            tmp_path / "cohort",
            tmp_path / "deep" / "er" / "out",
            conversion=Conversion(1000, (1,)),
            splitting=Splitting(all_in="test"),
        )
    assert sorted(tmp_path.rglob("*")) == before


def test_overwrite_deletes_nothing_that_no_import_wrote(tmp_path: Path, make_case: Callable[..., Case]) -> None:
    case = make_case("a")
    hand_made = tmp_path / "hand-made"
    for folder in ("images", "labels"):
        (hand_made / folder).mkdir(parents=True)
        (hand_made / folder / "P1.nii.gz").write_bytes(case.image.read_bytes())
    (hand_made / "manifest.csv").write_text("case_id,subject_id,split,image,reference\n")
    before = sorted(hand_made.rglob("*"))
    with pytest.raises(UserError, match=r"hand-made: holds manifest.csv, which an import did not write"):
        import_pair(tmp_path / "cohort", hand_made, overwrite=True)
    assert sorted(hand_made.rglob("*")) == before


@pytest.mark.parametrize("mine", ["notes.txt", "audit/index.html", "images/extra.nii.gz"])
def test_overwrite_keeps_what_was_put_into_an_imported_cohort(
    tmp_path: Path, make_case: Callable[..., Case], mine: str
) -> None:
    make_case("a")
    import_pair(tmp_path / "cohort", tmp_path / "out")
    (tmp_path / "out" / mine).parent.mkdir(exist_ok=True)
    (tmp_path / "out" / mine).write_text("mine")
    with pytest.raises(UserError, match=rf"out: holds {mine}, which an import did not write; move it away"):
        import_pair(tmp_path / "cohort", tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / mine).read_text() == "mine"


def test_overwrite_keeps_a_label_that_was_corrected_by_hand(tmp_path: Path, make_case: Callable[..., Case]) -> None:
    make_case("a")
    arguments = (Layout(None, PAIR), Conversion(label_values=(1,)), Splitting(all_in="test"))
    cohort = import_folder(tmp_path / "cohort", tmp_path / "out", *arguments).cohort
    assert cohort.cases[0].reference == tmp_path / "out" / "reference" / "a.nii.gz"
    cohort.cases[0].reference.write_bytes(b"corrected")
    with pytest.raises(UserError, match=r"out: reference/a.nii.gz was changed after it was written; move it away"):
        import_folder(tmp_path / "cohort", tmp_path / "out", *arguments, overwrite=True)
    assert cohort.cases[0].reference.read_bytes() == b"corrected"


def test_overwrite_keeps_the_files_that_the_table_itself_names(tmp_path: Path, make_case: Callable[..., Case]) -> None:
    make_case("a")
    cohort = tmp_path / "made"
    splitting, conversion = Splitting(all_in="test"), Conversion(None, (1,))  # labels are written into the cohort
    import_folder(tmp_path / "cohort", cohort, Layout(None, PAIR), conversion, splitting)
    label = next(cohort.rglob("*reference*/*.nii.gz"), None) or next(cohort.rglob("a*.nii.gz"))
    image = next((tmp_path / "cohort").glob("a_image.nii.gz"))
    table = tmp_path / "table.csv"
    table.write_text(f"case_id,image,reference\na,{image},{label}\n")
    before = {path: path.read_bytes() for path in cohort.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=rf"^{cohort}: holds 1 file of the source, e.g. {label}: not replaced$"):
        import_folder(table, cohort, conversion=conversion, splitting=splitting, overwrite=True)
    assert {path: path.read_bytes() for path in cohort.rglob("*") if path.is_file()} == before
