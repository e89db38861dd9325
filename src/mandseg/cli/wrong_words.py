"""Errors on the command line as one line with what was expected, instead of typer's box."""

import re
from collections.abc import Collection, Sequence
from typing import Any, get_args, get_type_hints

import typer
from typer.core import TyperGroup

from mandseg.system.errors import WRONG_INPUT, UserError, one_line
from mandseg.system.expectations import whole
from mandseg.system.names import printable
from mandseg.system.wording import expected_one_of

WordsError: type[Any] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")
"""Typer's error about words; the package that it is from depends on typer's version."""


class Commands(TyperGroup):
    """A group that names the nearest of its commands where there is no such command."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of the first word.

        Raises:
            UserError: There is no such command.
        """
        word = args[0]
        if not ctx.resilient_parsing and not word.startswith("-") and self.get_command(ctx, word) is None:
            known = expected_one_of(word, self.list_commands(ctx))
            raise UserError(f"{_command(ctx)}{printable(word)}: there is no such command; {known}")
        return super().resolve_command(ctx, args)


def run_words(app: typer.Typer, words: Sequence[str]) -> int:
    """Run the command that some words name; gives its exit code.

    Raises:
        UserError: An option, an argument or a value is unknown, missing, too much or wrong.
    """
    try:
        code = app(list(words), prog_name="mandseg", standalone_mode=False)
    except WordsError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            return WRONG_INPUT
        raise UserError(in_plain_words(error, words)) from error
    return code if isinstance(code, int) else 0


def in_plain_words(error: Any, words: Sequence[str]) -> str:
    """The line of an error.

    Args:
        error: Typer's error about words.
        words: The words of the command line.
    """
    kind, at, parameter = type(error).__name__, _command(error.ctx), getattr(error, "param", None)
    if kind == "NoSuchOption":
        known = expected_one_of(error.option_name, _options(error.ctx))
        return f"{at}{printable(error.option_name)}: there is no such option; {known}"
    if kind == "MissingParameter" and parameter is not None:
        return f"{at}{_name(parameter)} is missing{_meaning(parameter)}"
    if kind == "BadOptionUsage":
        return f"{at}{error.option_name}: expected {'no' if 'does not take' in error.message else 'a'} value"
    if kind == "BadParameter" and parameter is not None:
        value = _value(parameter.opts, words)
        return f"{at}{_name(parameter)}{value}: {_expected(error)}"
    if more := re.search(r"unexpected extra arguments?(?:\(s\))? \((.*)\)", error.message, re.DOTALL):
        return f"{at}{printable(more[1])}: expected no further words"
    return f"{at}{printable(one_line(error))}"


def typed_options(context: Any) -> list[str]:
    """The options of a command that were typed, by their long names; an option with its default is not among them."""
    at_commandline = [
        one for one in context.command.params if context.get_parameter_source(one.name).name == "COMMANDLINE"
    ]
    return [max(one.opts, key=len) for one in at_commandline if one.opts[0].startswith("-")]


def refuse_options(context: Any, unused: Collection[str], reason: str) -> None:
    """Refuse options that were typed and would have no effect.

    Args:
        context: The command's context.
        unused: Options without an effect.
        reason: The end of the line, e.g. ``for --folds only``.

    Raises:
        UserError: One line that names them.
    """
    if found := [option for option in typed_options(context) if option in unused]:
        raise UserError(f"{', '.join(found)}: {reason}")


def _command(context: Any) -> str:
    """``prepare folder: ``, the command that the words are of; nothing for the program itself."""
    _, _, name = context.command_path.partition(" ") if context else ("", "", "")
    return f"{re.sub(r' {.*', '', name)}: " if name else ""


def _options(context: Any) -> list[str]:
    """All options of a command, the long ones where there are two."""
    parameters = context.command.get_params(context)
    return [name for one in parameters for name in (*one.opts, *one.secondary_opts) if name.startswith("--")]


def _name(parameter: Any) -> str:
    return str(parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.name.upper())


def _meaning(parameter: Any) -> str:
    text = str(getattr(parameter, "help", "") or "").removesuffix(".")
    return f" ({text})" if text else ""


def _value(options: Sequence[str], words: Sequence[str]) -> str:
    """The last value of an option among the words."""
    found = ""
    for number, word in enumerate(words):
        option, sign, value = word.partition("=")
        if option in options:
            found = value if sign else " ".join(words[number + 1 : number + 2])
    return f" {printable(found)}" if found else ""


def _expected(error: Any) -> str:
    """What a value should have been, by the annotation of the command's function."""
    hint = get_type_hints(error.ctx.command.callback, include_extras=True).get(error.param.name)
    annotation, info = (*get_args(hint), None, None)[:2]
    kinds = {annotation, *get_args(annotation)}
    if int in kinds:
        return "expected a whole number" if info is None or info.min is None else str(whole(info.min, info.max))
    return "expected a number" if float in kinds else printable(one_line(error))
