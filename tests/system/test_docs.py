"""The commands, the code and the links of README and docs/ are right: each is checked without running it."""

import ast
import importlib
import re
import tomllib
from functools import cache
from itertools import pairwise

import pytest
import typer
import yaml
from hydra import compose, initialize_config_dir

from composing import VERSION
from doc_blocks import ROOT, Page, pages
from mandseg.cli.main import app
from mandseg.runs.launchers.cells import expand
from mandseg.runs.settings.check import check_settings
from mandseg.runs.settings.typed_text import quoted, with_text
from mandseg.system.config_paths import config_folder

PAGES = pages()
OPTIONS = ("--config-name", "--config-dir", "--cfg")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.fixture(scope="module")
def command_line():
    return typer.main.get_command(app)


def leaf(group, words):
    """The command that words lead to, and the words after it."""
    while hasattr(group, "commands") and words and not words[0].startswith("-"):
        assert words[0] in group.commands, f"no command {words[0]}"
        group, words = group.commands[words[0]], words[1:]
    return group, words


def check_mandseg(group, words):
    command, rest = leaf(group, words)
    if command.name == "train":
        check_training(rest)
    elif rest != ["--version"]:
        parsed = command.make_context(command.name, list(rest))
        if command.name == "estimate":
            check_training(["-m", *parsed.args])


def check_training(words, folder=None):
    check_composed(tuple(words), folder if "--config-dir" in words else None)


@cache  # README and the pages repeat some commands
def check_composed(words, folder):
    """Compose cells in which each value of each axis occurs, and check every setting."""
    given = dict(pairwise(words))
    settings = [w for w in words if "=" in w or w.startswith("~")]
    known = {*settings, "-m", "--help", *(o for o in OPTIONS if o in given), *(given[o] for o in OPTIONS if o in given)}
    assert set(words) <= known, f"not settings: {sorted(set(words) - known)}"
    if folder and "--config-dir" in given:
        settings.append(f"hydra.searchpath=[file://{folder / given['--config-dir']}]")
    name = given.get("--config-name", "train")
    with initialize_config_dir(str(config_folder()), **VERSION):
        for cell in few_cells(settings) if "-m" in words else [settings]:
            hydra = any("hydra" in word for word in cell)
            check_settings(with_text(compose(name, [quoted(word) for word in cell], return_hydra_config=hydra)))


def few_cells(settings):
    """As few cells of a grid as hold each value of each axis once; of numbers the first and the last."""
    axes = [[word] if re.search(r"=interval\(", word) else values(word) for word in settings]
    axes = [[re.sub(r"interval\((.*),.*\)", r"\1", v) for v in axis] for axis in axes]
    axes = [[axis[0], axis[-1]] if all(re.search(r"=[\d.]+$", v) for v in axis) else axis for axis in axes]
    longest = max((len(axis) for axis in axes), default=1)
    return [[axis[min(n, len(axis) - 1)] for axis in axes] for n in range(longest)]


def values(word):
    if word.startswith(("~", "+")) or not re.match(r"[\w./]+=", word):
        return [word]
    return [cell[0] for cell in expand([word])]


@each_page
def test_the_commands_of_a_page_exist_with_their_options(page: Page, command_line, tmp_path):
    written = {name: text for each in PAGES for name, text in each.files.items() if name.endswith("yaml")} | page.files
    for name, text in written.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for words in page.lines:
        program, *rest = words
        if program == "mandseg":
            check_mandseg(command_line, [word for word in rest if word != "..."])
        elif program.startswith("python"):
            check_python(rest, written, tmp_path)
        elif program == "make":
            targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
            assert {word for word in rest if "=" not in word} <= targets
        elif program == "pip":
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            wanted = {e for word in rest for e in re.findall(r"\[([\w,]+)\]", word)}
            assert {name for names in wanted for name in names.split(",")} <= set(extras)


def check_python(rest, written, folder):
    if rest[:2] == ["-m", "mandseg.train"]:
        check_training(rest[2:], folder)
    elif rest[0] == "-m":
        assert rest[1] in ("venv", "pip", "build", "http.server")
    else:
        assert rest[0] in written or (ROOT / rest[0]).is_file() or rest[0] == "-c", rest[0]


@each_page
def test_the_commands_in_the_text_of_a_page_exist_with_their_options(page: Page, command_line):
    for words in page.inline:
        first_of_several = [word.split("|")[0] for word in words[1:]]
        command, rest = leaf(command_line, [word for word in first_of_several if re.match(r"-*[a-z][a-z-]*$", word)])
        commands = [command, *getattr(command, "commands", {}).values()]
        options = {name for c in commands for p in c.params for name in (*p.opts, *p.secondary_opts)} | {"--help"}
        assert {word for word in rest if word.startswith("-")} <= options, words


@each_page
def test_the_python_and_yaml_of_a_page_is_code_whose_imports_exist(page: Page):
    for block in page.blocks("yaml"):
        yaml.safe_load(block)
    own = {name.removesuffix(".py") for name in page.files}
    for block in page.blocks("python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module not in own:
                module = importlib.import_module(node.module)
                assert [n.name for n in node.names if not hasattr(module, n.name)] == [], node.module


def anchors(path):
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@each_page
def test_the_links_of_a_page_lead_to_files_and_headings(page: Page):
    text = re.sub(r"```.*?```", "", page.text, flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"https?:", link)]
    broken = []
    for link in links:
        name, _, anchor = link.partition("#")
        target = page.path.parent / name if name else page.path
        if not target.is_file() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize(("language", "least"), [("python", 10), ("yaml", 3), ("", 40)])
def test_the_blocks_of_the_pages_are_found(language, least):
    assert sum(len(page.blocks(language)) for page in PAGES) >= least


@each_page
def test_a_block_has_a_language_that_is_checked(page: Page):
    languages = set(re.findall(r"^ *```([a-z]+)", page.text, re.MULTILINE))
    assert languages <= {"python", "yaml"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("audit cohorts/a --nonsense", "nonsense"),
        ("prepare nothing", "no command nothing"),
        ("report", "study"),
        ("estimate noise_ratio=0,7", "noise_ratio"),
        ("train -m loss=dice_ce,nothing", "nothing"),
        ("train patches.size=3", "size"),
        ("train seed", "seed"),
    ],
)
def test_a_wrong_command_is_noticed(words, said, command_line):
    with pytest.raises(Exception) as error:  # noqa: PT011
        check_mandseg(command_line, words.split())
    assert said in str(error.value) + str(getattr(error.value, "param", ""))


def test_the_pages_of_the_navigation_are_sorted_into_it():
    """Every page can be reached: it is in the navigation, or it belongs to a result."""
    listed = yaml.safe_load((ROOT / "docs" / "site" / "navigation.yaml").read_text())
    named = {page for group in listed.values() for page in group}
    pages_there = {str(p.relative_to(ROOT / "docs").with_suffix("")) for p in (ROOT / "docs").rglob("*.md")}
    unlisted = {p for p in pages_there - named if not p.startswith(("results/", "reference/")) and p != "index"}
    assert unlisted == set()
