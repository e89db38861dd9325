"""The catalogue of bad input: each kind is answered by its exact lines and exit code, and leaves nothing behind."""

import json
import re
import sys
from itertools import takewhile
from pathlib import Path

import feeds
import pytest
from kinds import CHECK, COMMANDS, IMAGES, MANIFESTS, RUNS, SETTINGS, STUDIES, WORDS

from mandseg.cli.main import main
from study_fixture import write_study

ROOT = Path(__file__).parents[2]
ANSWERS = json.loads((Path(__file__).parent / "answers.json").read_text())
"""Kind -> the lines of its answer, where HERE is the folder of the test."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    feeds.write_cohort_of_one()
    return tmp_path


def answer(words: list[str], world: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str], list[str]]:
    """Exit code, the lines on standard output and the lines on standard error; no file was made or changed."""
    before = files(world)
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(words)
    printed = capsys.readouterr()
    assert files(world) == before
    assert "Traceback" not in printed.err
    out, err = ([line.replace(str(world), "HERE") for line in text.splitlines()] for text in (printed.out, printed.err))
    return int(end.value.code or 0), out, err


def files(world: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(world.rglob("*"))}


@pytest.mark.parametrize("name", [*IMAGES, *MANIFESTS])
def test_a_bad_cohort_is_named_by_check(name, world, capsys):
    (IMAGES | MANIFESTS)[name]()
    code, out, err = answer(CHECK.split(), world, capsys)
    assert code == 2
    assert [line for line in out if line.startswith("error: ")] + err == ANSWERS[name]


@pytest.mark.parametrize("name", [*WORDS, *STUDIES])
def test_a_bad_command_is_answered_in_one_line(name, world, capsys):
    if name in STUDIES:
        write_study(Path("s"), loss={0.0: 0.0, 0.5: 0.01}, seeds=(0, 1), n_cases=2)
    feed, words = (WORDS | STUDIES)[name]
    feed()
    code, _, err = answer(words.split(), world, capsys)
    assert code == 2
    assert err == ANSWERS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_words_are_answered_in_one_line(name, world, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mandseg"])
    code, out, err = answer(COMMANDS[name].split(), world, capsys)
    assert code == 2
    assert out == []
    assert err == ANSWERS[name]


@pytest.mark.parametrize("name", RUNS)
def test_a_damaged_run_is_failed_in_the_status(name, world, capsys):
    write_study(Path("s"), loss={0.0: 0.0}, seeds=(0,), n_cases=2)
    RUNS[name]()
    code, out, err = answer(["status", "s"], world, capsys)
    assert code == 1
    assert err == []
    start = next(k for k, line in enumerate(out) if line.startswith("│ ratio0-seed0"))
    cells = [line.split("│")[3].strip() for line in takewhile(lambda line: line.startswith("│"), out[start:])]
    assert [" ".join(cells)] == ANSWERS[name]  # a long reason goes on in further lines of its cell


@pytest.mark.parametrize("name", SETTINGS)
def test_a_wrong_setting_is_one_line_before_anything_is_made(name, world, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mandseg"])
    word = SETTINGS[name]
    grid = ["-m"] if "(" in word else []
    own = ["data=folder", *(["data.manifest=c/manifest.csv"] if "manifest" not in word else [])]
    words = re.split(r" (?=[+~]?[a-z][\w.]*=|~)", word)
    code, _, err = answer(["train", *grid, *own, "tracking=none", "cache_dir=cache", *words], world, capsys)
    assert code == 2
    assert err == ANSWERS[name]


def test_the_catalogue_has_an_answer_to_each_of_at_least_80_kinds():
    kinds = [*IMAGES, *MANIFESTS, *WORDS, *STUDIES, *RUNS, *COMMANDS, *SETTINGS]
    assert sorted(kinds) == sorted(ANSWERS)
    assert len(kinds) >= 80
    assert f"lists {len(kinds)} kinds" in (ROOT / "docs" / "reliability.md").read_text()
    assert all(lines for lines in ANSWERS.values())
