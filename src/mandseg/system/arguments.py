"""Compares the arguments that a config gives to a class or function with its signature, before it is called."""

import inspect
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from inspect import Parameter
from typing import Any

from mandseg.system.expectations import FLAG, Expectation, list_of, shown
from mandseg.system.wording import expected_one_of

OF_HYDRA = ("_target_", "_partial_", "_convert_", "_recursive_", "_args_")
WHOLE = Expectation("expected a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool))
NUMBER = Expectation("expected a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool))
PLAIN = {
    "bool": FLAG,
    "int": WHOLE,
    "float": NUMBER,
    "str": Expectation("expected a text", lambda value: isinstance(value, str)),
    "None": Expectation("expected null", lambda value: value is None),
    "Sequence[int]": list_of(WHOLE, "a list of whole numbers"),
    "Sequence[float]": list_of(NUMBER, "a list of numbers"),
}
"""What a parameter of a plain type takes; other types are left to the class or function itself."""


def wrong_arguments(made: Any, node: Mapping[str, Any], key: str, further: Collection[str] = ()) -> Iterator[str]:
    """One line for each argument that is unknown, missing, or of another type than a plain number or flag.

    Args:
        made: The class or function.
        node: Its node of the config, as plain values.
        key: What the user calls the node, e.g. ``loss``.
        further: Names of arguments that are given beside the node.
    """
    parameters = _parameters(made)
    if parameters is None or "_args_" in node:
        return
    given = {name: value for name, value in node.items() if name not in OF_HYDRA}
    named = {name: p for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    is_open = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    needed = [name for name, parameter in named.items() if parameter.default is parameter.empty]
    later = {*further, *(needed if node.get("_partial_") else ())}
    problems = []
    for name, value in given.items():
        if name not in named and not is_open:
            known = [other for other in named if other not in later]
            target = node["_target_"]
            line = f"{key}.{name}={shown(value)}: {target} has no such argument; {expected_one_of(name, known)}"
            problems.append(line)
        elif name in named and (problem := _misfit(named[name], value)):
            problems.append(f"{key}.{name}={shown(value)}: {problem}")
    yield from problems
    missing = [name for name in needed if name not in given and name not in further]
    if missing and not problems and not node.get("_partial_"):  # an unknown one is likely a missing one, misspelt
        yield f"{key}: {node['_target_']} needs {', '.join(missing)}"


@cache
def _parameters(made: Any) -> Mapping[str, Parameter] | None:
    """The parameters of a class or function by name; None if it does not tell them."""
    try:
        return inspect.signature(made).parameters
    except (ValueError, TypeError):
        return None


def _misfit(parameter: Parameter, value: Any) -> str:
    """What a parameter of plain types expects in place of a value; empty if it takes the value."""
    if value is None or isinstance(value, Mapping):  # null leaves the default to it; an object that is made first
        return ""
    kind = parameter.annotation
    words = kind.__name__ if type(kind) is type else str(kind).replace("collections.abc.", "").replace("typing.", "")
    expectations = [PLAIN.get(word) for word in words.split(" | ")]
    if None in expectations or any(one is not None and one.holds(value) for one in expectations):
        return ""
    return "expected " + " or ".join(str(one).removeprefix("expected ") for one in expectations)
