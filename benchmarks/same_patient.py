"""How long does it take to look for one patient among distinct cases? Processor seconds of one core.

python benchmarks/same_patient.py [--cases 1000]

Draws two lists of invented patients, all different, and compares each case of one with each of the other. Prints the
first fingerprint of a case, the choice of likely pairs and the whole comparison. A few minutes for 1,000 cases.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from comparison import keep
from mandseg.data.same_patient.fingerprint import Fingerprint, fingerprint
from mandseg.data.same_patient.search import find_matches, likely_pairs

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fixtures"))

Result = TypeVar("Result")


def seconds(work: Callable[[], Result]) -> tuple[float, Result]:
    """Processor seconds of one call, and its result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def main() -> None:
    """Print the times."""
    from patients import scan

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000, help="cases of each list")
    n = parser.parse_args().cases
    known: list[Fingerprint | None] = []
    spent = 0.0
    for seed in range(2 * n):
        given = scan(seed)
        taken_s, found = seconds(lambda given=given: fingerprint(given.label, given.image))
        known.append(found)
        spent += taken_s
    likely_s, pairs = seconds(lambda: likely_pairs(known[:n], known[n:]))
    whole_s, matches = seconds(lambda: find_matches(known[:n], known[n:]))
    rows = [
        {"what": "the first fingerprint of a case", "seconds": spent / (2 * n)},
        {"what": f"shapes, and {len(pairs)} likely pairs", "seconds": likely_s},
        {"what": f"likely pairs again, and {len(matches)} pairs of one patient", "seconds": whole_s},
    ]
    for row in rows:
        print(f"{row['what']:<50} {row['seconds']:.3f} s")
    keep("same_patient", rows)


if __name__ == "__main__":
    main()
