"""A mistyped path is answered with the path that may be meant."""

import pytest

from mandseg.data.manifest import read_cohort
from mandseg.runs.grid_file import refuse_no_study
from mandseg.runs.trained.choice import choose_runs
from mandseg.system.errors import UserError
from mandseg.system.wording import similar_path


def test_the_first_missing_part_is_compared_with_the_names_beside_it(tmp_path):
    (tmp_path / "outputs" / "clinic" / "report").mkdir(parents=True)
    assert similar_path(tmp_path / "outputs/clnic") == f"; did you mean {tmp_path}/outputs/clinic?"
    assert similar_path(tmp_path / "output/clinic") == f"; did you mean {tmp_path}/outputs/clinic?"
    assert similar_path(tmp_path / "outputs/other") == ""
    assert similar_path(tmp_path / "outputs/clinic") == ""


@pytest.mark.parametrize("read", [read_cohort, refuse_no_study, lambda path: choose_runs(path, {}, False)])
def test_a_mistyped_cohort_study_or_run_is_one_line_with_the_name_that_is_there(tmp_path, read):
    (tmp_path / "clinic").mkdir()
    with pytest.raises(UserError, match=rf"no such .*; did you mean {tmp_path}/clinic\?$"):
        read(tmp_path / "clinik")
