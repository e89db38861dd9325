"""The one exception that means "the user can mend this": shown as plain lines, exit code 2, no traceback."""

import sys
from collections.abc import Sequence


class UserError(Exception):
    """Wrong input, stated in lines that name the case and both values.

    Args:
        problems: One line, or several when more than one thing was found at once.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


def print_problems(error: UserError) -> None:
    """Print each problem as a line on standard error."""
    for problem in error.problems:
        print(f"mandseg: {problem}", file=sys.stderr)
