"""A number in a message stands before the right form of its noun: ``1 case``, ``2 cases``."""

import ast
import re
from pathlib import Path

import mandseg
from mandseg.system.wording import count, some_of, verb

SOURCE = Path(mandseg.__file__).parent
NOUNS = (
    *("case", "contour", "seed", "run", "voxel", "image", "subject", "slice", "label", "file", "piece", "prediction"),
    *("network", "fold", "row", "column", "plane", "point", "coordinate", "pair", "drawing", "patient", "annotator"),
    *("mask", "patch", "byte", "number", "vector", "cell", "check", "GPU", "ROI", "condition", "value", "attempt"),
)
TWO_OR_MORE = {
    ("check.py", "len(sizes)"),
    ("study_plan.py", "pilot.n_seeds"),
    ("score_table.py", "len(self.cases)"),
    ("score_table.py", "subjects"),
    ("summary.py", "len(halves[1])"),
    ("study.py", "len(runs)"),
    ("variants.py", "len(n)"),
    ("choice.py", "n"),
    ("devices.py", "wanted"),
    ("datamodule.py", "world_size"),
    ("archive.py", "n_patients + 1"),
    ("selection.py", "len(rois)"),
    ("series.py", "len(heights_mm)"),
    ("decoys.py", "len(trusted)"),
    ("rank.py", "len(both)"),
    ("rank.py", "len(pairs)"),
    ("label_table.py", "n"),
    ("forest.py", "len(rows)"),
    ("voxels.py", "n_files"),
    ("methods.py", "settings.batch_size"),
    ("volume.py", "components"),
    ("sources.py", "len(file.encode())"),
    ("images.py", "len(images)"),
    ("names.py", "len(name.encode())"),
    ("pixels.py", "stored"),
    ("dose.py", "voxels"),
    ("finite_loss.py", "step.number"),
}
"""Numbers that are two or more where the text is made: module, expression."""
TEXTS = {
    *("shown", "name", "plane.shape", "unit", "have", "size", "wanted", "step.n_cases"),
}
"""Expressions that are texts, not numbers."""


def numbers_before_plurals(module: Path):
    """Each ``{number} cases`` of the module's formatted texts: line, expression, noun."""
    plurals = tuple(f"{noun}s" for noun in NOUNS)
    for node in ast.walk(ast.parse(module.read_text())):
        if not isinstance(node, ast.JoinedStr):
            continue
        for number, text in zip(node.values, node.values[1:], strict=False):
            if isinstance(number, ast.FormattedValue) and isinstance(text, ast.Constant):
                words = str(text.value).split()
                expression = ast.unparse(number.value)
                is_text = expression.startswith(("'", "_product", "_range"))
                if text.value.startswith(" ") and words and words[0].strip(".,;:()") in plurals and not is_text:
                    yield node.lineno, expression, words[0]


def test_a_number_has_the_right_form_of_its_noun():
    found = [
        (str(module.relative_to(SOURCE)), *one)
        for module in sorted(SOURCE.rglob("*.py"))
        for one in numbers_before_plurals(module)
        if not one[1].isupper() and one[1] not in TEXTS and (module.name, one[1]) not in TWO_OR_MORE
    ]
    assert found == [], "use mandseg.system.wording.count"


def test_one_thing_has_the_singular():
    assert (count(1, "contour"), count(0, "contour")) == ("1 contour", "0 contours")
    assert (verb(1, "have"), verb(1, "reach"), verb(2, "are")) == ("has", "reaches", "are")
    assert some_of(1, 4, "case", "are") == "1 of 4 cases is"
    assert some_of(2, 4, "case", "lie") == "2 of 4 cases lie"


BEFORE_A_PLURAL = re.compile(r"\}\} (?:cases|runs|seeds|contours|trainings|subjects|annotators|labels|pictures)\b")
NEVER_ONE = "{{ fewest }} cases"  # the fewest cases of a claim about a person


def test_no_number_of_a_template_stands_before_a_fixed_plural():
    for template in sorted(SOURCE.rglob("templates/*.html.j2")):
        text = template.read_text(encoding="utf-8").replace(NEVER_ONE, "")
        assert not BEFORE_A_PLURAL.findall(text), f"{template.name}: use count"
