"""Objects from the nodes of a config: only what lies in a trusted package is made; a wrong node is one line.

A ``_target_`` is judged by the object that it leads to, not by its spelling: ``torch.os.system`` is not of torch. Hydra
has a list of its own (a list of what is refused up to 1.3, of what is let through from 1.4 on), which holds, too.
"""

import importlib
import inspect
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

import hydra
from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mandseg.system.arguments import wrong_arguments
from mandseg.system.errors import UserError, one_line, user_error_behind

PACKAGES = ("mandseg", "torch", "torchio", "monai", "lightning")
"""Packages whose modules are imported to look a target up."""
TRUSTED = (
    *("mandseg", "torchio", "lightning.pytorch", "lightning.fabric", "torch.nn", "torch.optim"),
    *("monai.losses", "monai.networks", "monai.inferers", "monai.optimizers", "monai.transforms"),
)
"""Where the object itself must be from: of torch and MONAI no loader of files and no runner of bundles."""
HYDRA_OWN = ("hydra.*", "hydra_plugins.*", "mandseg.*", "logging.StreamHandler", "logging.FileHandler")
CHECKED = "_execution_whitelist_"  # Hydra 1.4


def make(node: Any, name: str = "config", trusted_packages: Sequence[str] = (), **arguments: Any) -> Any:
    """Make the object that a node of a config describes, with the nodes inside it.

    Args:
        node: A node with a ``_target_``, or one that holds such nodes.
        name: What the user calls it, e.g. ``model.network``.
        trusted_packages: Packages of the user's own, or modules of them.
        arguments: Further arguments of the object, or Hydra's own, such as ``_convert_``.

    Raises:
        UserError: A target is not in a trusted package or cannot be found, or it refuses its arguments.
    """
    targets: list[tuple[str, str]] = []
    try:
        plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        targets = list(targets_in(plain, name))
        for key, target in targets:
            trusted(key, target, trusted_packages)
        refuse_arguments(plain, name, [key for key in arguments if not key.startswith("_")])
        if CHECKED in inspect.signature(instantiate).parameters:
            packages = [f"{package}.*" for package in (*TRUSTED, *trusted_packages)]
            arguments[CHECKED] = [*packages, *(target for _, target in targets)]
        return instantiate(plain, **arguments)
    except OmegaConfBaseException as error:
        raise UserError(f"{name}: {one_line(error)}") from error
    except (OSError, MemoryError):
        raise
    except Exception as error:
        cause = _cause(error)
        if isinstance(cause, OSError | MemoryError):
            raise
        if type(cause).__module__.partition(".")[0] == "mandseg":
            raise user_error_behind(error) or cause from error
        root = plain["_target_"] if isinstance(plain, dict) and "_target_" in plain else "it"
        key, what = targets[0] if len(targets) == 1 else (name, root)
        raise UserError(f"{key}: {what} cannot be made: {one_line(cause)}") from error


def targets_in(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every target in a plain node, however deep, with the name of its node."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield key, node["_target_"]
        for name, value in node.items():
            yield from targets_in(value, f"{key}.{name}")
    elif isinstance(node, list | tuple):
        for number, value in enumerate(node):
            yield from targets_in(value, f"{key}[{number}]")


def trusted(key: str, target: Any, trusted_packages: Sequence[str] = ()) -> str:
    """The full name of the class or function that a target leads to, which is of a trusted package.

    Raises:
        UserError: It is no class and no function, or is really of another package.
    """
    if problem := misnamed(key, target, trusted_packages):
        raise UserError(problem)
    setting = f"{key}._target_={target}"
    if trusted_packages and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # the user's own package may lie here; searched last, it hides no other
    parent, found = _object_at(setting, target)
    if not isinstance(found, type | FunctionType) or not inspect.ismodule(parent):
        raise UserError(f"{setting}: expected a class or a function of a module, found {type(found).__name__}")
    if not _is_inside(f"{found.__module__}.", (*TRUSTED, *trusted_packages)):
        raise UserError(f"{setting}: is {found.__module__}.{found.__qualname__}, which is not let through")
    return f"{found.__module__}.{found.__qualname__}"


def misnamed(key: str, target: Any, trusted_packages: Sequence[str] = ()) -> str:
    """One line about a target whose name alone is wrong, else empty; nothing is imported."""
    setting = f"{key}._target_={target}"
    if not isinstance(target, str) or "." not in target or not all(part.isidentifier() for part in target.split(".")):
        return f"{setting}: expected the path of a class or a function, e.g. torch.optim.AdamW"
    if not _is_inside(target, (*PACKAGES, *trusted_packages)):
        package = target.partition(".")[0]
        return f"{setting}: expected a path in {', '.join(PACKAGES)}, or trusted_packages=[{package}]"
    return ""


def refuse_arguments(node: Any, key: str, further: Collection[str] = ()) -> None:
    """Refuse arguments in a plain node, however deep, that its class or function does not have, needs or can take.

    Args:
        node: A node whose targets are trusted.
        key: What the user calls it, e.g. ``model.network``.
        further: Arguments that the node itself gets from mandseg.

    Raises:
        UserError: One line for each.
    """
    if problems := list(_wrong_arguments(node, key, further)):
        raise UserError(problems)


def _wrong_arguments(node: Any, key: str, further: Collection[str]) -> Iterator[str]:
    if isinstance(node, list | tuple):
        for number, value in enumerate(node):
            yield from _wrong_arguments(value, f"{key}[{number}]", ())
    if not isinstance(node, dict):
        return
    if "_target_" in node:
        _, found = _object_at(f"{key}._target_={node['_target_']}", node["_target_"])
        yield from wrong_arguments(found, node, key, further)
    for name, value in node.items():
        yield from _wrong_arguments(value, f"{key}.{name}", ())


def hydra_options() -> dict[str, Any]:
    """Further arguments of ``hydra.main`` by its version: the behaviour of 1.3, and Hydra's own targets."""
    if "execution_whitelist" in inspect.signature(hydra.main).parameters:
        return {"execution_whitelist": HYDRA_OWN}
    return {"version_base": "1.3"}


def _object_at(setting: str, path: str) -> tuple[Any, Any]:
    """The parent of the object at a dotted path, and the object."""
    name, *parts = path.split(".")
    try:
        parent, found = None, importlib.import_module(name)
        for part in parts:
            name = f"{name}.{part}"
            if not hasattr(found, part) and inspect.ismodule(found):
                importlib.import_module(name)
            parent, found = found, getattr(found, part)
    except Exception as error:  # the user's own module may raise anything
        raise UserError(f"{setting}: cannot be found ({_absence(name, error)})") from error
    return parent, found


def _absence(name: str, error: Exception) -> str:
    """Why there is no object at a dotted path: it is missing itself, or its module fails."""
    holder, _, last = name.rpartition(".")
    is_missing = isinstance(error, ModuleNotFoundError | AttributeError) and error.name in (name, last)
    if not is_missing:
        return one_line(error)
    return f"{holder} has no {last}" if holder else f"no module {name} here or among the installed packages"


def _is_inside(path: str, packages: Sequence[str]) -> bool:
    return any(path == package or path.startswith(f"{package}.") for package in packages)


def _cause(error: BaseException) -> BaseException:
    """The exception of the object itself, where Hydra wrapped it (up to 1.3)."""
    wrapped = isinstance(error, InstantiationException | HydraException) and error.__cause__ is not None
    return _cause(error.__cause__) if wrapped and error.__cause__ is not None else error
