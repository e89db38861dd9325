"""Tab completion knows the commands and their options, in the order of use; help lists the same commands."""

import pytest
from click.testing import CliRunner
from typer.main import get_command

from mandseg.cli.main import COMMANDS, app


def completions(shell: str, words: str) -> list[str]:
    """What the shell is offered for the last word of a line."""
    line = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    if shell == "zsh":
        line = {"_TYPER_COMPLETE_ARGS": words}
    found = CliRunner().invoke(
        get_command(app), [], prog_name="mandseg", env={"_MANDSEG_COMPLETE": f"complete_{shell}", **line}
    )
    return found.output.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("mandseg pre", ["prepare", "predict"]),
        ("mandseg report --prim", ["--primary"]),
        ("mandseg prepare dic", ["dicom"]),
        ("mandseg plan-study --po", ["--power"]),
    ],
)
def test_bash_completes_commands_and_options(words, expected):
    assert completions("bash", words) == expected


def test_zsh_completes_commands_in_the_order_of_use():
    offered = " ".join(completions("zsh", "mandseg "))
    places = [offered.index(f'"{name}"') for name in COMMANDS]
    assert places == sorted(places)


def test_every_command_has_its_place_in_the_order_of_use():
    assert set(get_command(app).commands) == set(COMMANDS)
