"""Where tables are printed: a terminal in its own width, a file or a pipe in a fixed one."""

from rich.console import Console

WIDTH_OF_A_FILE = 150  # columns


def open_console() -> Console:
    """Standard output for tables; no column is cut because a pipe has no width of its own."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_OF_A_FILE)
