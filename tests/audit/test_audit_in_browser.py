"""The audit's page in a real headless Chromium: silent, as wide as its window, its tables sortable, printable."""

import re

import numpy as np
import pytest

from chromium import MARKS, PHONE, browse, console_lines, probe
from mandseg.audit.page import write_audit
from mandseg.data.case import Case
from mandseg.data.manifest import write_cohort
from mandseg.data.volume import Volume, write_volume
from mandseg.noise import Recorded
from shapes import ISO, horseshoe

pytestmark = MARKS

SCRIPT = """
  const table = [...page.querySelectorAll("table")].at(-1);
  const column = i => [...table.tBodies[0].rows].map(row => row.cells[i].textContent);
  const click = i => { table.tHead.rows[0].cells[i].querySelector("button").click(); return column(1); };
  const found = {
    byRank: column(1), byDice: click(6), byDiceDown: click(6), byName: click(1),
    sort: table.tHead.rows[0].cells[1].getAttribute("aria-sort"),
  };"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Three cases: a is drawn 3 mm lower, b not at all, c 1 mm lower; with pictures."""
    root = tmp_path_factory.mktemp("clinic") / "cohort"
    cases = []
    for name, lower in (("a", 3), ("b", None), ("c", 1)):
        noisy = np.zeros_like(horseshoe()) if lower is None else np.roll(horseshoe(), -lower, axis=2)
        for kind, mask in (("reference", horseshoe()), ("noisy", noisy)):
            write_volume(root / f"{name}_{kind}.nii.gz", Volume(mask, np.diag([*ISO, 1.0])))
        files = (root / f"{name}_{kind}.nii.gz" for kind in ("reference", "noisy"))
        cases.append(Case(name, name, "test", None, *files, annotator="ann"))
    write_cohort(root, cases)
    return write_audit(root, root / "audit", Recorded(), "recorded", pictures=3)[1]


@pytest.mark.parametrize("width", [PHONE, 1200])
def test_the_page_fits_its_window_and_its_tables_sort_both_ways(page, width):
    seen = probe(page, width, SCRIPT)
    assert (seen["overflow"], seen["broken"], seen["beyond"]) == (0, 0, [])
    assert (seen["byRank"], seen["byDice"], seen["byDiceDown"], seen["byName"]) == (
        *(["b", "a", "c"], ["b", "a", "c"]),
        *(["c", "a", "b"], ["a", "b", "c"]),
    )
    assert seen["sort"] == "ascending"


def test_the_page_writes_nothing_to_the_console_and_prints(page, tmp_path):
    paper = tmp_path / "page.pdf"
    done = browse(page, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    assert console_lines(done) == []
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes())) <= 10
