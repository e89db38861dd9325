"""Names of this package that docs, configs and docstrings mention exist."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MENTION = re.compile(r"(?<![\w/.])mandseg(?:\.[A-Za-z_]\w*)+")
FILES = [
    ROOT / "README.md",
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "conf").rglob("*.yaml"),
    *(ROOT / "sweeps").glob("*.yaml"),
    *(ROOT / "src").rglob("*.py"),
    *(ROOT / "docs").rglob("*.py"),
    *(ROOT / "benchmarks").glob("*.py"),
]
NOT_CODE = {"mandseg.elsewhere", "mandseg.egg", "mandseg.sif"}


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    words = name.split(".")
    for n in range(len(words), 0, -1):
        try:
            found = importlib.import_module(".".join(words[:n]))
        except ModuleNotFoundError:
            continue
        for word in words[n:]:
            if not hasattr(found, word):
                return False
            found = getattr(found, word)
        return True
    return False


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_name_that_a_file_mentions_exists(file: Path):
    if file.name == "log.md":
        pytest.skip("a dated log names what was there at its time")
    names = set(MENTION.findall(file.read_text(encoding="utf-8"))) - NOT_CODE
    assert sorted(name for name in names if not resolves(name)) == []


@pytest.mark.parametrize("file", [f for f in FILES if f.suffix == ".md" and f.name != "log.md"], ids=lambda f: f.name)
def test_every_python_file_that_a_page_mentions_exists(file: Path):
    there = {path.name for folder in ("src", "tests", "benchmarks", "docs") for path in (ROOT / folder).rglob("*.py")}
    mentioned = re.findall(r"`(?:[\w/]*/)?(\w+\.py)`", file.read_text(encoding="utf-8"))
    assert sorted(set(mentioned) - there) == []
