"""Every command that the docs and the help show can be typed as it stands, also in zsh, which reads bare signs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
HELP = sorted((ROOT / "src" / "mandseg" / "cli").glob("*.py"))
COMMAND = re.compile(r"^(?:mandseg|python -m mandseg\.train) [^#\n]*", re.MULTILINE)
EXAMPLE = re.compile(r"\[bold\](mandseg [^\n]*?)\[/bold\]")
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
BARE = re.compile(r"[][*?(){}]|(?<= )~[^/ ]")


def bare_words(line: str) -> list[str]:
    """The words of a command line with a sign outside quotes that a shell would read."""
    return [word for word in QUOTED.sub("", line).split() if BARE.search(f" {word}")]


def test_a_sign_outside_quotes_is_noticed():
    assert bare_words("mandseg train patches.patch_size=[8,8,8] ~loss.batch") == [
        "patches.patch_size=[8,8,8]",
        "~loss.batch",
    ]
    assert bare_words("mandseg prepare folder ~/scans out --image '{case}/*.nrrd' \"a*\"") == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_can_be_typed_as_they_stand(page):
    blocks = re.findall(
        r"^```(?:console|sh|bash)?\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    lines = [line for block in blocks for line in COMMAND.findall(block) if not line.startswith("mandseg:")]
    assert {line: bare_words(line) for line in lines if bare_words(line)} == {}


@pytest.mark.parametrize("module", HELP, ids=lambda module: module.name)
def test_examples_of_the_help_can_be_typed_as_they_stand(module):
    lines = EXAMPLE.findall(module.read_text(encoding="utf-8"))
    assert {line: bare_words(line) for line in lines if bare_words(line)} == {}
