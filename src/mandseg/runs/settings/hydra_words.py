"""Errors of Hydra and OmegaConf about the words of a command line, as one line that says what was expected."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue, OmegaConfBaseException

from mandseg.system.config_paths import config_folder, sweeps_folder
from mandseg.system.errors import UserError, disk_error_behind, one_line, user_error_behind
from mandseg.system.expectations import shown
from mandseg.system.wording import expected_one_of, verb

OVERRIDE = re.compile(r"(?:Could not override|Error merging override|Error parsing override) '(.*?)'", re.DOTALL)
CHOSEN_TWICE = re.compile(r"Multiple values for (\S+)\. To override a value use")
APPENDED = re.compile(r"An item is already at '(.*?)'")
DELETED = re.compile(r"Could not delete from config\. '(.*?)' does not exist")
NOT_SET = re.compile(r"Environment variable '(.*?)' not found")
SEVERAL = re.compile(r"(?:Ambiguous value for argument|Sweep parameters) '(.*?)'(?: requires --multirun|\n)", re.DOTALL)
DECIMAL_COMMA = re.compile(r"[0-9]+,[0-9]+")
MISSING = re.compile(r"Missing mandatory value: (\S+)")


def in_plain_words(error: HydraException | OmegaConfBaseException) -> UserError:
    """The error as one line that names the setting, what was expected, and the nearest choice.

    Args:
        error: An error of the composition of a config.
    """
    if behind := user_error_behind(error):
        return behind
    if closed := disk_error_behind(error):
        return UserError(f"{closed.filename}: cannot be opened ({closed.strerror})")
    text = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return UserError(_missing_file(str(error.missing_cfg_file), list(error.options or [])))
    if isinstance(error, OverrideParseException):
        return UserError(_unreadable(str(error.override)))
    if match := SEVERAL.search(text):
        return UserError(_several_values(match[1]))
    if match := MISSING.search(text):
        return UserError(f"{match[1]}: is missing, give {match[1]}=VALUE")
    if isinstance(error, MissingMandatoryValue | InterpolationToMissingValueError):
        return UserError(f"{error.full_key}: is missing, give {error.full_key}=VALUE")
    if match := NOT_SET.search(text):
        return UserError(f"the environment variable {match[1]}, which a setting names, is not set")
    if match := CHOSEN_TWICE.search(text) or APPENDED.search(text):
        return UserError(f"+{match[1]}: the setting is there already, leave out the +")
    if match := DELETED.search(text):
        return UserError(f"~{match[1]}: there is no such setting")
    if isinstance(error, ConfigCompositionException) and (match := OVERRIDE.search(text)):
        cause = error.__cause__
        if isinstance(cause, OmegaConfBaseException) and OmegaConf.is_config(cause.parent_node):
            known = [str(key) for key in cause.parent_node]
            inner = [str(key) for key in known if cause.key in _keys(cause.parent_node, key)]
            return UserError(_unknown_key(match[1], str(cause.key), known, inner))
    return UserError(one_line(error))


def _missing_file(file: str, options: Sequence[str]) -> str:
    words = file.removesuffix(".yaml").split("/")
    ends = [end for end in range(1, len(words)) if (config_folder() / "/".join(words[:end])).is_dir()]
    if ends or (options and len(words) > 1):
        end = ends[-1] if ends else len(words) - 1
        group, name = "/".join(words[:end]), "/".join(words[end:])
        own = "; a cohort is data=folder data.manifest=COHORT/manifest.csv" if group == "data" and "/" in name else ""
        return f"{group}={name}: {expected_one_of(name, options or _choices(group))}{own}"
    name = "/".join(words)
    known = {path.stem for folder in (config_folder(), sweeps_folder()) for path in folder.glob("*.yaml")}
    return f"--config-name {name}: {expected_one_of(name, known)}"


def _choices(group: str) -> list[str]:
    """The choices of a group in all config folders; none where Hydra has ended already."""
    if not GlobalHydra.instance().is_initialized():
        return []
    return list(GlobalHydra.instance().config_loader().get_group_options(group))


def _unreadable(word: str) -> str:
    if "=" not in word:
        return f"{shown(word)}: expected SETTING=VALUE, e.g. noise_ratio=0.5"
    if any(sign in word for sign in "[]{}()'\""):
        return f"{shown(word)}: a bracket or a quote is open; put the whole word in quotes"
    return (
        f"{shown(word)}: cannot be read; put a value with special signs in quotes: {word.partition('=')[0]}=\"'...'\""
    )


def _several_values(word: str) -> str:
    """The line of a word with several values, where there is one run."""
    setting, _, value = word.partition("=")
    is_number = DECIMAL_COMMA.fullmatch(value)
    point = f"; one number has a point: {setting}={value.replace(',', '.')}" if is_number else ""
    return f"{shown(word)}: several values need -m, as in python -m mandseg.train -m {shown(word)}{point}"


def _keys(group: Any, key: str) -> list[str]:
    """The settings in a group of a group; none of a setting with a value."""
    inner = group._get_node(key)
    return [str(name) for name in inner] if OmegaConf.is_dict(inner) and not inner._is_missing() else []


def _unknown_key(setting: str, key: str, known: Sequence[str], groups: Sequence[str] = ()) -> str:
    """The line of a setting that its group, or the chosen one of it, does not have.

    Args:
        setting: The word of the command line.
        key: The unknown part of it.
        known: The settings beside it.
        groups: Groups beside it that have such a setting.
    """
    near = [name for name in known if name not in ("hydra", "_target_", "_partial_")]
    group, *below = setting.lstrip("+").partition("=")[0].split(".")
    choices = sorted((config_folder() / group).glob("*.yaml")) if below else []
    if owners := [choice.stem for choice in choices if _has(choice, below)]:
        have = f"{'|'.join(owners)} {verb(len(owners), 'have')} it"
        return f"{setting}: the chosen {group} has no such setting; {group}={have}"
    if groups:
        return f"{setting}: there is no such setting; did you mean {' or '.join(f'{name}.{key}' for name in groups)}?"
    return f"{setting}: there is no such setting; {expected_one_of(key, near)}"


def _has(file: Path, keys: Sequence[str]) -> bool:
    """Whether the config of a choice, or one that it builds on, has a setting."""
    found: object = OmegaConf.to_container(OmegaConf.load(file))
    below = found.get("defaults", []) if isinstance(found, dict) else []
    if any((file.parent / f"{name}.yaml").is_file() and _has(file.parent / f"{name}.yaml", keys) for name in below):
        return True
    for key in keys:
        if not isinstance(found, dict) or key not in found:
            return False
        found = found[key]
    return True
