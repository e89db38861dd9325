"""``make mutants``: changes single places of metrics, plans and statistics and counts the changes that no test notices.

Prints a table and writes outputs/mutants/survivors.txt. Exit code 1 if a survivor is not listed in equivalent.csv.
"""

import argparse
import ast
import csv
import sys
from pathlib import Path

from modules import MODULES
from mutants_of import Mutant, sample
from trial import OUT, SOURCES, lines_of_tests, prepare, survives

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
    known = _equivalent()
    prepare()
    print("| module | mutants | killed | survived | of these equivalent |\n| --- | --- | --- | --- | --- |", flush=True)
    total, open_survivors = [0, 0, 0, 0], []
    for module in modules:
        noted = [lines_of_tests(file) for file in MODULES[module]]
        source = (SOURCES / module).read_text(encoding="utf-8")
        mutants = sample(module, source, options.mutants, options.seed)
        survivors = [mutant for mutant in mutants if _survives(mutant, noted)]
        unlisted = [one for one in survivors if (one.module, one.before, one.after) not in known]
        open_survivors += unlisted
        n = len(mutants), len(mutants) - len(survivors), len(survivors), len(survivors) - len(unlisted)
        total = [a + b for a, b in zip(total, n, strict=True)]
        print(f"| {module} | {' | '.join(map(str, n))} |", flush=True)
    print(f"| all | {' | '.join(map(str, total))} |")
    SURVIVORS.write_text("".join(f"{one.module}:{one.line}\n- {one.before}\n+ {one.after}\n" for one in open_survivors))
    return int(bool(open_survivors))


def _survives(mutant: Mutant, noted: list[dict]) -> bool:
    """Run the tests that execute the line, the quickest first; then, if all pass, others that execute the module."""
    seconds = {test: own for one in noted for test, own in one["seconds"].items()}
    lines = [one["lines"].get(mutant.module, {}) for one in noted]
    of_module = {test for one in lines for tests in one.values() for test in tests}
    near = {test for one in lines for test in one.get(str(mutant.line), ())}
    if _is_outside_functions(mutant):
        near = of_module
    for tests in (_quickest(near, seconds), _quickest(of_module - near, seconds)):
        most_s = 30 + int(5 * sum(seconds[test] for test in tests))
        if tests and not survives(mutant.module, mutant.source, tests, most_s):
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
