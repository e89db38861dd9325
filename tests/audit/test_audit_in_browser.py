"""The audit's page in a real headless Chromium: silent, as wide as its window, its tables sortable, printable."""

import html
import json
import re

import numpy as np
import pytest

from chromium import CHROMIUM, PHONE, browse, console_lines
from mandseg.audit.page import write_audit
from mandseg.data.case import Case
from mandseg.data.manifest import write_cohort
from mandseg.data.volume import Volume, write_volume
from mandseg.noise import Recorded
from shapes import ISO, horseshoe

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install the package chromium"),
]

PROBE = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe id="page" src="cohort/audit/index.html" style="border:0;width:{width}px;height:3000px"></iframe>
<pre id="out"></pre>
<script>addEventListener("load", () => {{
  const page = document.getElementById("page").contentDocument, shown = page.documentElement.clientWidth;
  const table = [...page.querySelectorAll("table")].at(-1);
  const column = i => [...table.tBodies[0].rows].map(row => row.cells[i].textContent);
  const click = i => {{ table.tHead.rows[0].cells[i].querySelector("button").click(); return column(1); }};
  document.getElementById("out").textContent = "PROBE " + JSON.stringify({{
    overflow: page.documentElement.scrollWidth - shown, broken: [...page.images].filter(i => !i.naturalWidth).length,
    beyond: [...page.querySelectorAll("body *")].filter(e =>
      !e.closest(".scroll, svg") && e.getBoundingClientRect().right > shown + 0.5).map(e => e.outerHTML.slice(0, 80)),
    byRank: column(1), byDice: click(6), byDiceDown: click(6), byName: click(1),
    sort: table.tHead.rows[0].cells[1].getAttribute("aria-sort"),
  }});
}});</script>"""


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
    probe = page.parent.parent.parent / f"probe-{width}.html"
    probe.write_text(PROBE.format(width=width))
    done = browse(probe, "--allow-file-access-from-files", "--dump-dom", "--window-size=1400,3200")
    found = re.search(r"PROBE (\{.*?\})</pre>", done.stdout, flags=re.S)
    assert found, done.stderr[-2000:]
    seen = json.loads(html.unescape(found[1]))
    assert (seen["overflow"], seen["broken"], seen["beyond"]) == (0, 0, [])
    assert (seen["byRank"], seen["byDice"], seen["byDiceDown"], seen["byName"]) == (
        *(["b", "a", "c"], ["b", "a", "c"]),
        *(["c", "a", "b"], ["a", "b", "c"]),
    )
    assert seen["sort"] == "ascending"


def test_the_page_is_silent_and_prints(page, tmp_path):
    paper = tmp_path / "page.pdf"
    done = browse(page, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    assert console_lines(done) == []
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes())) <= 10
