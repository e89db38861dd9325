"""Runs tests on changed code: one session of pytest collects the tests, and each mutant is tried in a fork of it.

In a fork only the code of the changed function is replaced, so nothing is imported or collected again. A change outside
of functions (a constant, a default) needs another import of mandseg in the fork.
"""

import gc
import hashlib
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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from coverage import Coverage

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "mandseg"
OUT = ROOT / "outputs" / "mutants"
ARGUMENTS = (
    *("-q", "-s", "--no-header", "--tb=line", f"--basetemp={OUT / 'tmp'}", "-p", "no:cacheprovider"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of packages that are imported already
)
MOST_BYTES = 8 * 2**30  # a mutant may ask for an array of any size


def with_tests(files: Sequence[str], task: Callable[["Tests"], int]) -> int:
    """Collect test files, and do a task with them; its exit code."""
    OUT.mkdir(parents=True, exist_ok=True)
    # the same examples each time, without a search for simpler ones
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutants", database=None, derandomize=True, deadline=None, phases=phases)
    settings.load_profile("mutants")
    tests = Tests(task)
    return int(pytest.main([*files, *ARGUMENTS], plugins=[tests])) or tests.code


class Tests:
    """A plugin of pytest that does the task in the place of a run of all tests.

    Attributes:
        lines: Module below src/mandseg to line to the tests that execute it.
        seconds: Of processor time, of each test.
    """

    def __init__(self, task: Callable[["Tests"], int]) -> None:
        self.task, self.code = task, 70

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Note what each test executes, then do the task."""
        if session.testsfailed:
            sys.exit("a test file cannot be collected: see above")
        self.items = {item.nodeid: item for item in session.items}
        self._note()
        self.code = self.task(self)
        return True

    def _note(self) -> None:
        """Run all tests on the unchanged code; the answer is kept until a source or a test changes."""
        files = sorted({item.path for item in self.items.values()} | set(SOURCES.rglob("*.py")))
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
        answer = OUT / f"lines-{digest}.json"

        def run() -> int:
            coverage, seconds = Coverage(data_file=None, include=[f"{SOURCES}/*"]), {}
            coverage.start()

            def note(test: str) -> None:
                coverage.switch_context(test)
                seconds[test] = time.process_time()

            code = self._run(list(self.items), note)
            ends = [*list(seconds.values())[1:], time.process_time()]
            coverage.stop()
            data = coverage.get_data()
            lines = {
                str(Path(file).relative_to(SOURCES)): {
                    line: [test for test in tests if test] for line, tests in data.contexts_by_lineno(file).items()
                }
                for file in data.measured_files()
            }
            took = {test: end - start for (test, start), end in zip(seconds.items(), ends, strict=True)}
            answer.write_text(json.dumps({"lines": lines, "seconds": took}))
            return code

        if not answer.exists() and _in_a_fork(run, 3600):
            answer.unlink(missing_ok=True)
            sys.exit("a test fails on the unchanged code: see outputs/mutants/last.log")
        found = json.loads(answer.read_text())
        self.lines, self.seconds = found["lines"], found["seconds"]

    def survives(self, module: str, source: str, tests: Sequence[str], most_s: int) -> bool:
        """Whether all tests pass on the changed source of a module; too much processor time is a failure."""

        def run() -> int:
            if _replace_code(str(SOURCES / module), source):
                return self._run(tests)
            own = {"mandseg", "conftest", *(path.stem for path in (ROOT / "tests").rglob("*.py"))}
            for name in [name for name in sys.modules if name.partition(".")[0] in own]:
                del sys.modules[name]
            sys.meta_path.insert(0, _Finder(module, source))
            return int(pytest.main([*tests, *ARGUMENTS, "-x"]))

        return _in_a_fork(run, most_s) == 0

    def _run(self, tests: Sequence[str], before: Callable[[str], None] = lambda test: None) -> int:
        """1 at the first test that fails, 0 if all pass."""
        items = [self.items[test] for test in tests]
        for item, following in zip(items, [*items[1:], None], strict=True):
            before(item.nodeid)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if item.session.testsfailed:
                return 1
        return 0


def _replace_code(file: str, source: str) -> bool:
    """Give the functions of a file the code of a changed source; whether the code of one is another now."""
    changed = {(code.co_qualname, code.co_firstlineno): code for code in _codes(compile(source, file, "exec"))}
    found = False
    for function in [one for one in gc.get_objects() if isinstance(one, types.FunctionType)]:
        old = function.__code__
        new = changed.get((old.co_qualname, old.co_firstlineno)) if old.co_filename == file else None
        if new is not None and new != old:
            function.__code__, found = new, True
    return found


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            yield from _codes(part)


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


def _in_a_fork(task: Callable[[], int], most_s: int) -> int:
    """The exit code of a task in a child process, whose output goes to outputs/mutants/last.log."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (most_s, most_s + 5))
            resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
            handle = os.open(OUT / "last.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
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
