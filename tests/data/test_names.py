"""Names from data as names of files, and the home folder where no shell expands it."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from mandseg.system.names import name_problem, with_home, with_home_in_setting


@pytest.mark.parametrize("name", ["P001", "0522c0727a", "a b", "Zoë", "x..y", "a=b", "'", "x" * 150, "é" * 75])
def test_names_that_people_give_are_file_names(name: str) -> None:
    assert name_problem(name) == ""


@pytest.mark.parametrize("name", ["a/b", "..", ".a", "a\nb", "a\x00b", "a\x7fb", "C:x", "a\\b", "x" * 151, "é" * 76])
def test_names_that_lead_elsewhere_or_nowhere_are_not(name: str) -> None:
    problem = name_problem(name)
    assert "cannot be a file name" in problem
    assert problem.isprintable()
    assert len(problem) < 120


def test_the_home_folder_is_where_a_shell_does_not_put_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/jd")
    assert with_home("~/x") == "/home/jd/x"
    assert with_home("--out=~/x") == "--out=/home/jd/x"
    assert [with_home(word) for word in ("a~/x", "~trainer", "--by=~", "~nobody-of-this-name/x")] == [
        *("a~/x", "~trainer", "--by=~", "~nobody-of-this-name/x")
    ]


@pytest.mark.parametrize("home", ["/home/jd", "/home/j d", "/home/a,b", "/home/(x)", "/home/k=v"])
def test_hydra_reads_a_home_folder_with_any_name(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("HOME", home)
    parser = OverridesParser.create()
    assert parser.parse_override(with_home_in_setting("data.manifest=~/c.csv")).value() == f"{home}/c.csv"
    swept = parser.parse_override(with_home_in_setting("data.manifest=~/a,~/b"))
    assert list(swept.sweep_string_iterator()) != []
    assert [str(value) for value in swept.value().list] == [f"{home}/a", f"{home}/b"]
    assert with_home_in_setting("~trainer") == "~trainer"
