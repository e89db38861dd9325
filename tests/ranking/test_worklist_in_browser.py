"""The worklist in a real headless Chromium: silent, as wide as its window, its boxes kept, its tables sortable."""

from dataclasses import replace

import numpy as np
import pytest

from chromium import MARKS, PHONE, browse, console_lines, probe
from command import run
from mandseg.data.case import Case
from mandseg.data.manifest import write_cohort
from mandseg.data.volume import Volume, write_volume
from shapes import ct, horseshoe

pytestmark = MARKS

SCRIPT = """
  page.querySelectorAll("input[data-case]")[1].click();
  const found = {
    seen: [...page.querySelectorAll(".case.seen")].map(e => e.id),
    kept: JSON.parse(frame.contentWindow.localStorage.getItem("mandseg-worklist-cohort")),
    sortable: page.querySelectorAll("table.sortable th button").length,
  };"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Six cases with both labels and two annotators; all sections of the page are there."""
    root = tmp_path_factory.mktemp("clinic") / "cohort"
    cases = []
    for k in range(6):
        drawn = horseshoe()
        drawn[:, :, 36 - 2 * k :] = False
        hu = ct(horseshoe(), seed=k)
        for kind, array in (("reference", horseshoe()), ("noisy", drawn), ("image", hu)):
            write_volume(root / f"{k}_{kind}.nii.gz", Volume(array, np.eye(4)))
        files = (root / f"{k}_{kind}.nii.gz" for kind in ("image", "reference", "noisy"))
        cases.append(Case(f"c{k}", f"c{k}", "test", *files, annotator="ab"[k % 2]))
    write_cohort(root, [replace(case, groups={}) for case in cases])
    assert run("rank", root, "--decoys", "margin") == 0
    return root / "ranking" / "index.html"


@pytest.mark.parametrize("width", [PHONE, 1200])
def test_the_page_fits_its_window_and_keeps_what_is_checked(page, width):
    seen = probe(page, width, SCRIPT)
    assert (seen["overflow"], seen["broken"], seen["beyond"]) == (0, 0, [])
    assert len(seen["seen"]) == 1
    assert [f"case-{case_id}" for case_id in seen["kept"]] == seen["seen"]
    assert seen["sortable"] > 40


def test_the_page_writes_nothing_to_the_console(page):
    assert console_lines(browse(page, "--dump-dom")) == []
