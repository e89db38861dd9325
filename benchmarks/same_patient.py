"""How long does it take to look for one patient among distinct cases? Processor seconds of one core.

python benchmarks/same_patient.py [--cases 1000]

Draws two lists of invented patients, all different, and makes the three comparisons of ``mandseg check A B``: A with A,
B with B, and A with B. The CTs of all patients have a part in common, so that two of them are as alike as two of
OpenKBP. Fingerprints are packed and unpacked as in the cache. Some minutes for 1,000 cases.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from comparison import keep
from mandseg.data.same_patient import alike_cts
from mandseg.data.same_patient.fingerprint import Fingerprint, as_bytes, fingerprint, from_bytes
from mandseg.data.same_patient.search import find_matches, likely_pairs
from mandseg.data.volume import Volume

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fixtures"))

COMMON = 1.3  # times the own part
OF_ALL = 999_999_999  # the seed of the common part
LOOKED_AT = 100  # cases of which the alikeness is printed

Result = TypeVar("Result")
Known = list[Fingerprint | None]


def seconds(work: Callable[[], Result]) -> tuple[float, Result]:
    """Processor seconds of one call, and its result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def packed(seeds: range) -> tuple[float, list[bytes]]:
    """The fingerprints of invented patients as the cache holds them, and the seconds for all of them."""
    from patients import scan

    common = scan(OF_ALL).image.array
    spent, files = 0.0, []
    for seed in seeds:
        given = scan(seed)
        hu = given.image.array
        is_soft = (hu > -900) & (hu < 900)
        image = np.where(is_soft & (common > -900) & (common < 900), hu + COMMON * (common - 40), hu).astype(np.int16)
        taken_s, known = seconds(
            lambda image=image, given=given: fingerprint(given.label, Volume(image, given.image.affine))
        )
        files.append(as_bytes(known))
        spent += taken_s
    return spent, files


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000, help="cases of each list")
    n = parser.parse_args().cases
    spent, files = packed(range(2 * n))
    read_s, known = seconds(lambda: [from_bytes(file) for file in files])
    rows = [
        {"what": "the first fingerprint of a case", "seconds": spent / (2 * n)},
        {"what": f"{2 * n} fingerprints unpacked", "seconds": read_s},
    ]
    lists: list[tuple[str, Known, Known | None]] = [
        ("A with A", known[:n], None),
        ("B with B", known[n:], None),
        ("A with B", known[:n], known[n:]),
    ]
    for name, first, second in lists:
        whole_s, matches = seconds(lambda first=first, second=second: find_matches(first, second))
        pairs = likely_pairs(first, second)
        what = f"{name}, {len(pairs)} pairs looked at, {len(matches)} of one patient"
        rows.append({"what": what, "seconds": whole_s})
    rows.append({"what": "all but the first fingerprints", "seconds": sum(row["seconds"] for row in rows[1:])})
    for row in rows:
        print(f"{row['what']:<60} {row['seconds']:.3f} s")
    some = [each.blocks for each in known[:LOOKED_AT] if each is not None and each.blocks is not None]
    values, _ = alike_cts.correlations(some, some)
    print(f"median correlation of two CTs in blocks: {np.nanmedian(values):.2f} (OpenKBP: 0.65)")
    keep("same_patient", rows)


if __name__ == "__main__":
    main()
