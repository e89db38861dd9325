"""The files around the package agree with it: versions, dependencies, containers, workflows."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from mandseg import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def read(name: str):
    return yaml.safe_load((ROOT / name).read_text())


def test_every_file_names_the_same_version():
    named = [
        PROJECT["project"]["version"],
        read("CITATION.cff")["version"],
        read("conda/recipe.yaml")["context"]["version"],
    ]
    assert named == [__version__] * 3
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_conda_recipe_has_the_dependencies_of_the_package():
    wanted = [re.match(r"([\w-]+)(.*)", word).groups() for word in PROJECT["project"]["dependencies"]]
    recipe = read("conda/recipe.yaml")
    assert [tuple(word.split(" ", 1)) for word in recipe["requirements"]["run"][1:]] == [
        (CONDA_NAMES.get(name, name).lower(), bounds) for name, bounds in wanted
    ]
    assert recipe["requirements"]["run"][0].split()[1] == PROJECT["project"]["requires-python"]
    (entry,) = PROJECT["project"]["scripts"].items()
    assert recipe["build"]["python"]["entry_points"] == [" = ".join(entry)]


@pytest.mark.parametrize("name", ["Dockerfile", "apptainer.def"])
def test_a_container_gets_all_that_the_wheel_is_built_of(name):
    text = (ROOT / name).read_text()
    copied = {word for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for word in line.split()}
    copied |= set(re.findall(r"^ +(\S+) /opt/mandseg/", text, re.MULTILINE))
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {path.split("/")[0] for path in (*wheel["packages"], *wheel["force-include"])}
    needed |= {"pyproject.toml", "constraints.txt", PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    assert copied == needed
    assert all((ROOT / path).exists() for path in copied)


def test_what_docker_copies_is_not_ignored():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    text = (ROOT / "Dockerfile").read_text()
    assert {word for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for word in line.split()} == kept


def test_the_release_workflow_runs_the_demo_from_the_wheel_before_it_releases():
    jobs = read(".github/workflows/release.yml")["jobs"]
    assert jobs["demo"]["needs"] == "wheel"
    assert jobs["release"]["needs"] == "demo"
    steps = jobs["demo"]["steps"]
    assert not any("checkout" in step.get("uses", "") for step in steps)
    assert "mandseg.train --config-name demo" in " ".join(step.get("run", "") for step in steps)


def test_the_versions_of_constraints_are_looked_up_for_known_vulnerabilities_every_week():
    workflow = read(".github/workflows/packages.yml")
    (job,) = workflow["jobs"].values()
    assert "pip-audit" in job["steps"][-1]["run"]
    assert "-r constraints.txt" in job["steps"][-1]["run"]
    assert workflow[True]["schedule"]  # "on" is true in YAML 1.1


def test_the_source_package_has_what_the_wheel_is_built_of_and_nothing_of_that_name_elsewhere():
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert all(path.startswith("/") for path in included)  # without a slash, README.md is also docs/results/*/README.md
    assert all((ROOT / path[1:]).exists() for path in included)
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {path.split("/")[0] for path in (*wheel["packages"], *wheel["force-include"])}
    needed |= {PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    assert {f"/{path}" for path in needed} <= set(included)


def test_an_issue_template_requests_no_patient_data():
    templates = [p for p in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if p.name != "config.yml"]
    assert len(templates) == 3
    for template in templates:
        assert {"name", "description", "body"} <= set(yaml.safe_load(template.read_text()))
        assert "Never attach" in template.read_text()


def pinned(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    found = [re.match(r"([\w.-]+)==([^\s\\]+)", line) for line in lines]
    return {re.sub("[_.]", "-", match[1]).lower(): match[2] for match in found if match}


def test_the_versions_with_hashes_are_those_of_constraints_and_lack_torch_alone():
    hashed, exact = pinned("requirements-hashed.txt"), pinned("constraints.txt")
    assert hashed.pop("setuptools")  # pip freeze, which constraints.txt is made of, leaves it out
    assert hashed.items() <= exact.items()
    wanted = {re.match(r"[\w-]+", word)[0].lower() for word in PROJECT["project"]["dependencies"]}
    assert wanted - hashed.keys() == {"torch"}
    lines = (ROOT / "requirements-hashed.txt").read_text().splitlines()
    packages = [line for line in lines if line[:1].isalnum()]
    others = [line for line in lines if line not in packages and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.!+]+ (; .+ )?\\", line) for line in packages)
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in others)


def test_actions_are_named_by_the_hash_of_a_commit():
    used = [
        line.split("uses:")[1].strip()
        for file in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
        for line in file.read_text().splitlines()
        if "uses:" in line
    ]
    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", name) for name in used)
