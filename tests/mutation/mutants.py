"""``make mutants``: changes single places of metrics, plans and statistics and counts the changes that no test notices.

Prints a table and writes outputs/mutants/survivors.txt. Exit code 1 if a survivor is not listed in equivalent.csv.
"""

import argparse
import ast
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from modules import MODULES
from mutants_of import Mutant, sample
from trial import OUT, SOURCES, Tests, with_tests

EQUIVALENT = Path(__file__).with_name("equivalent.csv")
SURVIVORS = OUT / "survivors.txt"
MOST_S = 8.0  # of tests a mutant, as measured on the unchanged code; the quickest first


def main() -> int:
    """Try the mutants of all modules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=25, help="of each module, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--modules", default=",".join(MODULES), help="separated by commas, below src/mandseg")
    options = parser.parse_args()
    modules = options.modules.split(",")
    files = sorted({file for module in modules for file in MODULES[module]})
    return with_tests(files, lambda tests: _try_all(tests, modules, options.mutants, options.seed))


def _try_all(tests: Tests, modules: Sequence[str], n: int, seed: int) -> int:
    known, total, unlisted = _equivalent(), [0, 0, 0, 0], []
    print("| module | mutants | killed | survived | of these equivalent |\n| --- | --- | --- | --- | --- |", flush=True)
    for module in modules:
        source = (SOURCES / module).read_text(encoding="utf-8")
        mutants = sample(module, source, n, seed)
        survivors = [mutant for mutant in mutants if survives(mutant, tests, MODULES[module])]
        new = [one for one in survivors if (one.module, one.before, one.after) not in known]
        unlisted += new
        counts = len(mutants), len(mutants) - len(survivors), len(survivors), len(survivors) - len(new)
        total = [a + b for a, b in zip(total, counts, strict=True)]
        print(f"| {module} | {' | '.join(map(str, counts))} |", flush=True)
    print(f"| all | {' | '.join(map(str, total))} |")
    SURVIVORS.write_text("".join(f"{one.module}:{one.line}\n- {one.before}\n+ {one.after}\n" for one in unlisted))
    return int(bool(unlisted))


def survives(mutant: Mutant, tests: Tests, files: Sequence[str]) -> bool:
    """Run the tests that execute the line, the quickest first; then, if all pass, others that execute the module."""
    lines = {
        line: {test for test in found if test.partition("::")[0] in files}
        for line, found in tests.lines.get(mutant.module, {}).items()
    }
    of_module = {test for found in lines.values() for test in found}
    near = of_module if _is_outside_functions(mutant) else lines.get(str(mutant.line), set())
    for chosen in (_quickest(near, tests.seconds), _quickest(of_module - near, tests.seconds)):
        most_s = 30 + int(5 * sum(tests.seconds[test] for test in chosen))
        if chosen and not tests.survives(mutant.module, mutant.source, chosen, most_s):
            return False
    print(f"{mutant.module}:{mutant.line}: {mutant.before}  ->  {mutant.after}", file=sys.stderr, flush=True)
    return True


def _quickest(tests: set[str], seconds: dict[str, float]) -> list[str]:
    """The quickest tests that take together so long as one mutant may take, at least one."""
    chosen, total = [], 0.0
    for test in sorted(tests, key=lambda test: (seconds[test], test)):
        total += seconds[test]
        if total <= MOST_S or not chosen:
            chosen.append(test)
    return chosen


def _is_outside_functions(mutant: Mutant) -> bool:
    bodies = [node for node in ast.walk(ast.parse(mutant.source)) if isinstance(node, ast.FunctionDef)]
    return not any(node.lineno <= mutant.line <= (node.end_lineno or 0) for node in bodies)


def _equivalent() -> set[tuple[str, str, str]]:
    if not EQUIVALENT.exists():
        return set()
    with EQUIVALENT.open(encoding="utf-8", newline="") as file:
        return {(row["module"], row["before"], row["after"]) for row in csv.DictReader(file)}


if __name__ == "__main__":
    sys.exit(main())
