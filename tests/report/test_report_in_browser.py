"""The report in a real headless Chromium: it renders, sorts, prints and fits a phone, and nothing is cut off."""

import html
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chromium import MARKS, PHONE, answer, browse, console_lines
from chromium import probe as probe_script
from mandseg.report.pdf import print_page
from mandseg.report.write import write_report
from study_fixture import write_study

pytestmark = MARKS

PROBE = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe id="page" src="report/index.html" style="border:0;width:{width}px;height:3000px"></iframe><pre id="out"></pre>
<script>addEventListener("load", () => {{
  const page = document.getElementById("page").contentDocument;
  for (const details of page.querySelectorAll("details")) details.open = true;
  const images = [...page.images], shown = page.documentElement.clientWidth;
  images.forEach(image => image.loading = "eager");
  const name = e => e.outerHTML.slice(0, 80);
  const beyond = [...page.querySelectorAll("body *")].filter(e =>
    !e.closest(".scroll, svg, .skip") && e.getBoundingClientRect().right > shown + 0.5);
  const cut = [...page.querySelectorAll("svg")].flatMap(svg => {{
    const frame = svg.getBoundingClientRect();
    return [...svg.querySelectorAll("text, path, use")].filter(e => {{
      const box = e.getBoundingClientRect();
      return !e.closest("defs, clipPath, [clip-path]") && box.width + box.height > 0 && (box.left < frame.left - 1
        || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1);
    }}).map(e => svg.closest("figure").id + " " + name(e));
  }});
  const column = (table, k) => [...table.tBodies[0].rows].map(row => row.cells[k].textContent.trim());
  const table = page.getElementById("table-verdicts"), button = table.tHead.querySelectorAll("button")[0];
  const before = column(table, 0);
  button.focus();
  const focused = page.activeElement === button;
  button.click();
  const up = column(table, 0), upSort = button.closest("th").ariaSort;
  button.click();
  const down = column(table, 0), downSort = button.closest("th").ariaSort;
  const numbers = page.getElementById("table-differences-test");
  numbers.tHead.querySelectorAll("button")[2].click();
  const own = page.createElement("table");
  own.className = "sortable";
  own.innerHTML = "<thead><tr><th>Cases</th></tr></thead><tbody><tr><td>8<small>12</small></td></tr>"
    + "<tr><td>\u2013</td></tr><tr><td>11<small>3</small></td></tr></tbody>";
  page.body.append(own);
  const script = page.createElement("script");
  script.textContent = [...page.scripts].at(-1).textContent;
  page.querySelectorAll("table.sortable").forEach(other => other === own || other.classList.remove("sortable"));
  page.body.append(script);
  const small = [0, 1].map(() => {{ own.tHead.querySelector("button").click(); return column(own, 0); }});
  Promise.all(images.map(image => image.decode().then(() => 0, () => 1))).then(broken => {{
    document.getElementById("out").textContent = "PROBE " + JSON.stringify({{
      overflow: page.documentElement.scrollWidth - shown, images: images.length,
      broken: broken.reduce((a, b) => a + b, 0), drawings: page.querySelectorAll("svg").length,
      beyond: beyond.map(name), cut, before, up, upSort, down, downSort, focused, sorted: column(numbers, 2), small,
    }});
  }});
}});</script>"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = tmp_path_factory.mktemp("outputs") / "demo"
    write_study(study, datasets={"test": 0.9, "external_metal_population": 0.8}, pictures=True)
    return write_report(study)


def probe(report: Path, width: int) -> dict:
    """What the page holds and does at a width, seen from a page round it."""
    page = report.parent.parent / f"probe-{width}.html"
    page.write_text(PROBE.format(width=width))
    flags = ("--allow-file-access-from-files", "--dump-dom", "--window-size=1400,3200", "--virtual-time-budget=20000")
    done = browse(page, *flags)
    assert console_lines(done) == []
    return answer(done)


def test_page_renders_its_finding_without_a_console_line_or_nan(report):
    done = browse(report, "--dump-dom")
    body = html.unescape(re.sub(r"<(style|svg|script)\b.*?</\1>|<[^>]+>", " ", done.stdout, flags=re.S))
    assert "mean dice is shown to stay within 0.02 of training on clean labels" in " ".join(body.lower().split())
    assert not re.search(r"\b(nan|NaN|None|undefined)\b", body)
    assert console_lines(done) == []


@pytest.mark.parametrize("width", [PHONE, 1200])
def test_everything_loads_sorts_and_nothing_sticks_out_or_is_cut_off(report, width):
    seen = probe(report, width)
    assert seen["overflow"] == 0
    assert (seen["images"], seen["broken"]) == (32, 0)  # two data sets, four ratios, worst and median; slices
    assert seen["drawings"] > 12
    assert seen["beyond"] == []
    assert seen["cut"] == []
    assert seen["focused"]
    assert (seen["before"], seen["up"], seen["down"]) == (["0.2", "0.5", "1"], ["0.2", "0.5", "1"], ["1", "0.5", "0.2"])
    assert (seen["upSort"], seen["downSort"]) == ("ascending", "descending")
    values = [float(re.match(r"[-+\u2212]?[\d.]+", text)[0].replace("\u2212", "-")) for text in seen["sorted"]]
    assert values == sorted(values)
    assert values[0] < 0 < values[-1]
    assert seen["small"] == [["812", "113", "–"], ["113", "812", "–"]]  # by 8 and 11; a missing number is last


def test_no_table_of_the_first_screens_is_cut_on_a_laptop(report):
    """A table may be wider than the text; at 1280 pixels its last column needs no scrolling."""
    found = probe_script(
        report,
        1280,
        """const found = {cut: [...page.querySelectorAll(".scroll:has(table)")].filter(box =>
          !box.closest("details") && box.scrollWidth > box.clientWidth + 1).map(box => box.ariaLabel)};""",
    )
    assert found["cut"] == []
    assert found["overflow"] == 0


def test_the_slider_moves_to_another_slice_and_a_click_shows_the_picture_in_full_size(report):
    found = probe_script(
        report,
        1200,
        """const slices = page.querySelector(".slices"), slider = slices.querySelector("input");
        const seen = () => {
          const strip = slices.querySelector("img").getBoundingClientRect();
          const frame = slices.querySelector(".window").getBoundingClientRect();
          return [Math.round(3 * (frame.top - strip.top) / strip.height), slices.querySelector("output").textContent,
            Math.round(frame.width - frame.height)];
        };
        const moved = value => { slider.value = value; slider.dispatchEvent(new Event("input")); return seen(); };
        const first = seen(), full = page.getElementById("full-size"), button = page.querySelector("button.full");
        const closed = full.open;
        button.click();
        const large = full.querySelector("img"), width = large.getBoundingClientRect().width;
        const same = large.src === button.querySelector("img").src, opened = full.open;
        full.querySelector("button").click();
        const found = {first, lowest: moved(1), highest: moved(3), named: slider.ariaLabel, count:
          page.querySelectorAll(".slices").length, closed, opened, same, width, shut: !full.open};""",
    )
    assert (found["count"], found["first"]) == (16, [1, "2 of 3", 0])  # the middle one of three
    assert (found["lowest"], found["highest"]) == ([0, "1 of 3", 0], [2, "3 of 3", 0])
    assert found["named"].startswith("Slice of: test, noise ratio 0, worst case")
    assert (found["closed"], found["opened"], found["same"], found["shut"]) == (False, True, True, True)
    assert found["width"] >= 900  # pixels of the picture


@pytest.mark.parametrize("width", [500, 1200])
def test_screenshot_shows_ink_in_every_tenth_of_the_first_screens(report, tmp_path, width):
    picture = tmp_path / "page.png"
    browse(report, f"--window-size={width},2400", f"--screenshot={picture}")
    grey = np.asarray(Image.open(picture).convert("L"))
    assert grey.shape == (2400, width)
    assert all((band < 128).any() and (band > 220).mean() > 0.5 for band in np.array_split(grey, 10))


def test_report_is_printed_or_the_reason_is_reported(report, tmp_path, monkeypatch):
    paper = tmp_path / "report.pdf"
    assert print_page(report, paper) is None
    assert paper.read_bytes().startswith(b"%PDF")
    assert 6 <= len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes())) <= 30
    monkeypatch.setattr("mandseg.report.pdf.browser", lambda: None)
    assert "no Chromium on this machine; open index.html" in str(print_page(report, tmp_path / "none.pdf"))
    monkeypatch.setattr("mandseg.report.pdf.browser", lambda: "/bin/false")
    assert "no none.pdf: false failed" in str(print_page(report, tmp_path / "none.pdf"))


def test_page_is_dark_where_the_browser_is_set_to_dark(report, tmp_path):
    picture = tmp_path / "page.png"
    browse(report, "--blink-settings=preferredColorScheme=0", "--window-size=1000,1500", f"--screenshot={picture}")
    grey = np.asarray(Image.open(picture).convert("L"))
    assert (grey < 60).mean() > 0.8
    assert (grey > 180).any()
