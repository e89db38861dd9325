"""Write the tables of docs/performance.md from what the benchmarks left in outputs/benchmarks.

Run: python benchmarks/tables.py [--folder outputs/benchmarks] [--page docs/performance.md]

The tables stand between two comments of the page. The rest of the page is written by hand.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from comparison import FOLDER

PAGE = Path("docs/performance.md")
BEGIN, END = "<!-- tables: made by make bench -->\n", "<!-- end of the tables -->\n"
ORDER = ("patches", "training_step", "inference", "preparation", "metrics", "start_up", "growth")


def number(value: float) -> str:
    """Three digits; whole numbers from 100 on."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def comparison_lines(content: Mapping[str, Any]) -> Iterator[str]:
    """The table of a benchmark with peers."""
    yield "| work | compared with | there | mandseg | ratio (spread) | by processor time |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in content["rows"]:
        values = " | ".join(f"{number(row[key])} {row['unit']}" for key in ("peer_value", "value"))
        spread = f"{number(row['lowest'])} to {number(row['highest'])}"
        ratio = f"**{number(row['ratio'])}** ({spread}) | {number(row['processor_ratio'])}"
        yield f"| {row['work']} | {row['peer']} | {values} | {ratio} |"


def growth_lines(content: Mapping[str, Any]) -> Iterator[str]:
    """The table of the growth."""
    yield "| what | sizes | processor seconds | exponent |"
    yield "| --- | --- | --- | --- |"
    for row in content["rows"]:
        sizes, seconds = ", ".join(map(str, row["sizes"])), ", ".join(f"{s:.3f}" for s in row["seconds"])
        yield f"| {row['what']} | {sizes} | {seconds} | {row['exponent']:.2f} |"


def lines(folder: Path) -> Iterator[str]:
    """All tables."""
    for name in ORDER:
        content = json.loads((folder / f"{name}.json").read_text())
        machine = content["machine"]
        yield f"\n`benchmarks/{name}.py`, {machine['cores']} cores, load {machine['load']} at its end:\n"
        yield from growth_lines(content) if name == "growth" else comparison_lines(content)
    yield ""


def main() -> None:
    """Replace the tables of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    before, _, rest = arguments.page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    arguments.page.write_text(before + BEGIN + "\n".join(lines(arguments.folder)) + "\n" + END + after)


if __name__ == "__main__":
    main()
