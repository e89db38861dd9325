"""The options of the training's command line, which are Hydra's: what is refused before Hydra sees it."""

import re
from collections.abc import Container, Sequence

from mandseg.system.errors import UserError
from mandseg.system.names import printable
from mandseg.system.wording import expected_one_of

FLAGS = ("--help", "--hydra-help", "--version", "--resolve", "--run", "--multirun", "--shell-completion")
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
WITH_VALUE: dict[str, tuple[str, ...]] = {
    "--cfg": ("job", "hydra", "all"),
    "--package": (),
    "--config-path": (),
    "--config-name": (),
    "--config-dir": (),
    "--experimental-rerun": (),
}
"""Options that need a value, and its choices if it has some."""
SHORT = {
    "-h": "--help",
    "-c": "--cfg",
    "-p": "--package",
    "-r": "--run",
    "-m": "--multirun",
    "-i": "--info",
    "-sc": "--shell-completion",
    "-cp": "--config-path",
    "-cn": "--config-name",
    "-cd": "--config-dir",
}
PRINTS = {"--cfg": "prints the configuration", "--info": "prints Hydra's information"}


def is_setting(word: str) -> bool:
    """Whether a word of the command line is a setting, not an option or its value: ``seed=1``, ``~patches``."""
    return word.startswith("~") or ("=" in word and not word.startswith("-"))


def refuse_options(words: Sequence[str]) -> None:
    """Refuse what Hydra answers with its usage, and what it cannot combine.

    Args:
        words: The words of the command line, options in front of settings.

    Raises:
        UserError: An option is unknown, lacks its value or has a wrong one; ``--cfg`` or ``--info`` together with
            ``-m``; a launcher is chosen in a way that Hydra takes without a word and that has no effect.
    """
    given: set[str] = set()
    for number, word in enumerate(words):
        if word.startswith("="):
            raise UserError(f"{printable(word)}: expected SETTING=VALUE, e.g. noise_ratio=0.5")
        if word.startswith("-"):
            given.add(_checked(word, words[number + 1 : number + 2]))
    if (printing := sorted(given & set(PRINTS))) and "--multirun" in given:
        raise UserError(f"{printing[0]} {PRINTS[printing[0]]} of one run: leave out -m and give each setting one value")
    _refuse_idle_launcher([word for word in words if is_setting(word)], given)


def _refuse_idle_launcher(settings: Sequence[str], options: Container[str]) -> None:
    """Refuse ``hydra.launcher=slurm``, and a launcher of one run: the run would train on this machine.

    Args:
        settings: The words ``SETTING=VALUE``.
        options: The full names of the options that are given.
    """
    is_many = any(option in options for option in ("--multirun", "--config-name", "--config-path"))
    is_shown = any(option in options for option in (*PRINTS, "--help", "--hydra-help"))
    has_mode = any(word.startswith("hydra.mode=") for word in settings)
    for word in settings:
        if dotted := re.fullmatch(r"\+{0,2}(?:hydra\.)?(launcher|sweeper)=(.*)", word):
            raise UserError(f"{printable(word)}: write hydra/{dotted[1]}={printable(dotted[2])}, with -m")
        is_choice = word.startswith("hydra/launcher=") and word != "hydra/launcher=basic"
        if is_choice and not (is_many or is_shown or has_mode):
            raise UserError(
                f"{printable(word)}: a launcher needs -m, as in python -m mandseg.train -m {printable(word)}"
            )


def _checked(word: str, behind: Sequence[str]) -> str:
    """The full name of an option, which has a value if it needs one.

    Args:
        word: The option, perhaps with ``=VALUE``.
        behind: The word behind it, if there is one.
    """
    name, sign, value = word.partition("=")
    known = [*FLAGS, "--info", *WITH_VALUE]
    option = SHORT.get(name, name)
    if option not in known:
        expected = expected_one_of(name, known)
        advice = "" if "did you mean" in expected else "; a setting has no dashes in front: noise_ratio=0.5"
        raise UserError(f"{printable(name)}: there is no such option; {expected}{advice}")
    if option in FLAGS:
        if sign:
            raise UserError(f"{name}: expected no value")
        return option
    is_given = bool(behind) and not behind[0].startswith("-") and not is_setting(behind[0])
    value = value if sign else behind[0] if is_given else ""
    choices = INFO if option == "--info" else WITH_VALUE[option]
    if not value and option != "--info":
        raise UserError(f"{name}: expected a value" + (f", one of {', '.join(choices)}" if choices else ""))
    if value and choices and value not in choices:
        raise UserError(f"{name} {printable(value)}: {expected_one_of(value, choices)}")
    return option
