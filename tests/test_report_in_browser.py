"""The report in a real headless Chromium: it renders, nothing fails to load, and it fits a phone and paper."""

import html
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mandseg.report import write_report
from study_fixture import write_study

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr"),
]
PHONE = 390  # CSS pixels

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install the package chromium"),
]

PROBE = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe id="page" src="report/index.html" style="border:0;width:{width}px;height:3000px"></iframe><pre id="out"></pre>
<script>addEventListener("load", () => {{
  const page = document.getElementById("page").contentDocument;
  const images = [...page.images], shown = page.documentElement.clientWidth;
  const beyond = [...page.querySelectorAll("body *")].filter(e =>
    !e.closest(".scroll, svg") && e.getBoundingClientRect().right > shown + 0.5);
  document.getElementById("out").textContent = "PROBE " + JSON.stringify({{
    overflow: page.documentElement.scrollWidth - shown, images: images.length,
    broken: images.filter(i => !i.complete || !i.naturalWidth).length, drawings: page.querySelectorAll("svg").length,
    beyond: beyond.map(e => e.outerHTML.slice(0, 80)),
  }});
}});</script>"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = tmp_path_factory.mktemp("outputs") / "demo"
    return write_report(write_study(study, datasets={"test": 0.9, "external_metal_population": 0.8}, pictures=True))


def browse(page: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Open a page from disk with an empty profile."""
    profile = page.parent / "profile"
    shutil.rmtree(profile, ignore_errors=True)
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", *arguments, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    shutil.rmtree(profile, ignore_errors=True)
    return done


def console_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_page_renders_its_finding_without_a_console_line_or_nan(report):
    done = browse(report, "--dump-dom")
    body = html.unescape(re.sub(r"<(style|svg)\b.*?</\1>|<[^>]+>", " ", done.stdout, flags=re.S))
    assert "mean Dice stays within 0.02 of training on clean labels on " in " ".join(body.split())
    assert not re.search(r"\b(nan|NaN|None|undefined)\b", body)
    assert not re.search(r"\bnan\b", done.stdout, flags=re.I)
    assert console_lines(done) == []


@pytest.mark.parametrize("width", [PHONE, 1200])
def test_everything_loads_and_nothing_sticks_out(report, width):
    probe = report.parent.parent / f"probe-{width}.html"
    probe.write_text(PROBE.format(width=width))
    done = browse(probe, "--allow-file-access-from-files", "--dump-dom", "--window-size=1400,3200")
    found = re.search(r"PROBE (\{.*?\})</pre>", done.stdout, flags=re.S)
    assert found, done.stderr[-2000:]
    seen = html.unescape(found[1])
    assert '"overflow":0' in seen
    assert '"images":8,"broken":0' in seen  # two data sets, four ratios
    assert '"beyond":[]' in seen


@pytest.mark.parametrize("width", [500, 1200])
def test_screenshot_shows_ink_in_every_tenth_of_the_first_screens(report, tmp_path, width):
    picture = tmp_path / "page.png"
    browse(report, f"--window-size={width},2400", f"--screenshot={picture}")
    grey = np.asarray(Image.open(picture).convert("L"))
    assert grey.shape == (2400, width)
    assert all((band < 128).any() and (band > 240).mean() > 0.5 for band in np.array_split(grey, 10))


def test_page_prints(report, tmp_path):
    paper = tmp_path / "page.pdf"
    browse(report, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    assert paper.read_bytes().startswith(b"%PDF")
    assert 4 <= len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes())) <= 20


def test_page_turns_dark_where_the_reader_wants_it_dark(report, tmp_path):
    picture = tmp_path / "page.png"
    browse(report, "--blink-settings=preferredColorScheme=0", "--window-size=1000,1500", f"--screenshot={picture}")
    grey = np.asarray(Image.open(picture).convert("L"))
    assert (grey < 60).mean() > 0.8
    assert (grey > 180).any()
