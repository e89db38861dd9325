"""Runs tests against a changed module, in a fork of a process that has imported the packages but no part of mandseg."""

import contextlib
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import sys
import time
import traceback
import types
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from coverage import Coverage

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "mandseg"
OUT = ROOT / "outputs" / "mutants"
ARGUMENTS = (
    *("-x", "-q", "--no-header", "--tb=line", "--durations=0", "-p", "no:cacheprovider", "-p", "no:xdist"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of packages that are imported already
)
MOST_BYTES = 6 * 2**30  # a mutant may ask for an array of any size


def prepare() -> None:
    """Let hypothesis draw the same examples each time, without a search for simpler ones."""
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutants", database=None, derandomize=True, deadline=None, phases=phases)
    settings.load_profile("mutants")


def _import(packages: Sequence[str]) -> None:
    """Import in this process what the tests import beside mandseg, so that no fork does it again."""
    for name in packages:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


class _Noting:
    """A plugin of pytest: coverage notes the lines of each test, and here are the seconds of each."""

    def __init__(self, coverage: Coverage) -> None:
        self.coverage, self.seconds = coverage, {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> object:
        """One test with the setup of its fixtures."""
        self.coverage.switch_context(item.nodeid)
        start = time.process_time()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.process_time() - start


def lines_of_tests(test_file: str) -> dict:
    """Run a test file on the unchanged code: module to line to tests, and the seconds of each test.

    The answer is kept in outputs/mutants until a source or the test file changes.
    """
    digest = hashlib.sha256((ROOT / test_file).read_bytes())
    for source in sorted(SOURCES.rglob("*.py")):
        digest.update(source.read_bytes())
    answer = OUT / f"{Path(test_file).stem}-{digest.hexdigest()[:12]}.json"

    def run() -> int:
        coverage = Coverage(data_file=None, include=[f"{SOURCES}/*"])
        noted = _Noting(coverage)
        coverage.start()
        code = pytest.main([test_file, *ARGUMENTS], plugins=[noted])
        coverage.stop()
        data = coverage.get_data()
        lines = {
            str(Path(file).relative_to(SOURCES)): {
                line: [test for test in tests if test] for line, tests in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }
        own = {"mandseg", "hydra_plugins", "conftest", *(path.stem for path in (ROOT / "tests").rglob("*.py"))}
        packages = [name for name in sys.modules if name.partition(".")[0] not in own]
        found = {"lines": lines, "seconds": noted.seconds, "packages": packages}
        answer.write_text(json.dumps(found))
        return int(code)

    if not answer.exists() and (code := _in_a_fork(run, 3600)):
        sys.exit(f"{test_file} ends with {code} on the unchanged code: see outputs/mutants/last.log")
    found = json.loads(answer.read_text())
    _import(found["packages"])
    return found


class _Changed(importlib.machinery.SourceFileLoader):
    source = ""

    def get_code(self, fullname: str) -> types.CodeType:
        return compile(self.source, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, module: str, source: str) -> None:
        self.name = f"mandseg.{module.removesuffix('.py').replace('/', '.')}"
        self.path, self.source = str(SOURCES / module), source

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> object:
        if fullname != self.name:
            return None
        loader = _Changed(fullname, self.path)
        loader.source = self.source
        return importlib.util.spec_from_file_location(fullname, self.path, loader=loader)


def survives(module: str, source: str, tests: Sequence[str], most_s: int) -> bool:
    """Whether all tests pass on the changed source; too much processor time is a failure."""

    def run() -> int:
        sys.meta_path.insert(0, _Finder(module, source))
        return int(pytest.main([*tests, *ARGUMENTS]))

    return _in_a_fork(run, most_s) == 0


def _in_a_fork(task: Callable[[], int], most_s: int) -> int:
    """The exit code of a task in a child process, whose output goes to outputs/mutants/last.log."""
    OUT.mkdir(parents=True, exist_ok=True)
    log = OUT / "last.log"
    child = os.fork()
    if child == 0:
        code = 70
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (most_s, most_s + 5))
            resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
            handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            os.chdir(ROOT)
            code = task()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
