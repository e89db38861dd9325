"""The mutants of a module: its source with one operator, number, comparison or branch changed, by cosmic-ray."""

import ast
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

NO_RESULT = re.compile(r"RemoveDecorator|_(Add|Sub|Mul|Div|FloorDiv|Mod|Pow)_(Bit|LShift|RShift)")
Place = tuple[int, int]  # line from 1, column from 0


@dataclass(frozen=True)
class Mutant:
    """A change of a source at one place.

    Attributes:
        module: Path below src/mandseg.
        operator: Its name in cosmic-ray.
        line: The changed line.
        before, after: This line, without indentation.
        source: The changed source.
    """

    module: str
    operator: str
    line: int
    before: str
    after: str
    source: str


def sample(module: str, source: str, n: int, seed: int) -> list[Mutant]:
    """Draw at most n mutants: of each place one, then a second one, and so on, the places in random order.

    Left out are annotations and decorators, from which no number follows, and bit operations in the place of
    arithmetic, which on floats only raise.
    """
    rng = random.Random(f"{seed} {module}")
    at: dict[tuple[Place, Place], list[tuple[str, int]]] = defaultdict(list)
    skipped = list(_skipped(source))
    for operator, occurrence, start, end in _positions(source):
        if not any(low <= start and end <= high for low, high in skipped):
            at[start, end].append((operator, occurrence))
    places = sorted(at)
    rng.shuffle(places)
    for place in places:
        rng.shuffle(at[place])
    chosen: list[Mutant] = []
    while len(chosen) < n and (places := [place for place in places if at[place]]):
        for place in places:
            mutant = _mutant(module, source, *at[place].pop())
            if mutant and len(chosen) < n and all(mutant.source != other.source for other in chosen):
                chosen.append(mutant)
    return chosen


def _positions(source: str) -> Iterator[tuple[str, int, Place, Place]]:
    """Operator, occurrence, start and end, in the order in which cosmic-ray counts occurrences."""
    nodes = list(ast_nodes(get_ast(source)))
    for name in operator_names():
        operator = get_operator(name)
        if not operator.arguments() and not NO_RESULT.search(name):
            found = (position for node in nodes for position in operator().mutation_positions(node))
            for occurrence, (start, end) in enumerate(found):
                yield name, occurrence, start, end


def _mutant(module: str, source: str, operator: str, occurrence: int) -> Mutant | None:
    changed = mutate_code(source, get_operator(operator)(), occurrence)
    if changed is None or changed == source or not _compiles(changed):
        return None
    pairs = zip(source.splitlines(), changed.splitlines(), strict=False)
    line, (before, after) = next((k, pair) for k, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    return Mutant(module, operator.removeprefix("core/"), line, before.strip(), after.strip(), changed)


def _compiles(source: str) -> bool:
    """Whether a text is Python: cosmic-ray also changes the two stars in front of a dictionary."""
    try:
        compile(source, "", "exec")
    except SyntaxError:
        return False
    return True


def _skipped(source: str) -> Iterator[tuple[Place, Place]]:
    for node in ast.walk(ast.parse(source)):
        parts = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        parts += getattr(node, "decorator_list", [])
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.col_offset == 0:
            parts += [node.value] if _is_type(node) else []
        for part in parts:
            if part is not None:
                yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)


def _is_type(node: ast.Assign) -> bool:
    """Whether this is a type alias, such as ``Level = float | str``."""
    names = {child.id for child in ast.walk(node.value) if isinstance(child, ast.Name)}
    return bool(names) and isinstance(node.value, ast.BinOp | ast.Subscript) and node.targets[0].id.istitle()
