"""The README shows the real tree."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def tree() -> list[Path]:
    """The paths of the README's tree, by indentation."""
    block = README.split("## The tree")[1].split("```")[1]
    parents: dict[int, Path] = {}
    found = []
    for line in block.strip("\n").splitlines():
        indent = len(line) - len(line.lstrip())
        for name in re.findall(r"^\s*(\S+)|(?<=  )(\w+/)(?=  )", line):
            path = parents.get(indent - 2, Path()) / (name[0] or name[1])
            found.append(path)
        parents[indent] = parents.get(indent - 2, Path()) / line.split()[0]
    return found


def test_every_path_of_the_tree_exists():
    assert [str(path) for path in tree() if not (ROOT / path).exists()] == []


def test_every_package_is_in_the_tree():
    package = ROOT / "src" / "mandseg"
    rooms = {path.parent for path in package.rglob("*.py")} - {package}
    assert {str(room.relative_to(ROOT)) for room in rooms} == {
        str(path) for path in tree() if (ROOT / path).is_dir() and Path("src/mandseg") in path.parents
    }


def test_two_modules_stand_at_the_top_of_the_package_and_no_folder_holds_more_than_twenty():
    package = ROOT / "src" / "mandseg"
    assert {file.name for file in package.glob("*.py")} == {"__init__.py", "train.py"}
    folders = {folder: len(list(folder.glob("*.py"))) for folder in package.rglob("*") if folder.is_dir()}
    assert {str(folder): n for folder, n in folders.items() if n > 20} == {}


def test_no_file_of_the_package_is_longer_than_300_lines():
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in (ROOT / "src").rglob("*.py")}
    assert {name: n for name, n in lengths.items() if n > 300} == {}


def test_every_sweep_is_in_the_tree():
    (line,) = [line for line in README.splitlines() if line.startswith("sweeps/ ")]
    assert set(re.findall(r"\w+", line.partition("--config-name")[2])) == {
        f.stem for f in (ROOT / "sweeps").glob("*.yaml")
    }


def test_every_command_is_in_the_readme():
    from mandseg.cli.main import COMMANDS

    assert [name for name in COMMANDS if f"mandseg {name}" not in README and f"mandseg.{name}" not in README] == []
