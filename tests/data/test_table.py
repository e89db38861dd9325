"""CSV as spreadsheets write it."""

from pathlib import Path

import pytest

from mandseg.data.spreadsheet import read_table
from mandseg.system.errors import UserError

ROWS = [{"a": "1", "b, c": "2"}, {"a": "3", "b, c": "4;5"}]


@pytest.mark.parametrize(
    "text",
    [
        'a,"b, c"\n1,2\n3,4;5\n',
        'a;"b, c"\n1;2\n3;"4;5"\n',
        "a\tb, c\n1\t2\n3\t4;5\n",
        'sep=;\r\na;"b, c"\r\n1;2\r\n3;"4;5"\r\n',
        'sep=,\na,"b, c"\n1,2\n3,4;5\n',
        "SEP=\t\na\tb, c\n1\t2\n3\t4;5\n",
        '"sep=;"\na;"b, c"\n1;2\n3;"4;5"\n',
        "\ufeffsep=;\na;b, c\n1;2\n3;'4;5'\n".replace("'", '"'),
        "sep=|\na|b, c\n1|2\n3|4;5\n",
    ],
)
def test_a_table_is_the_same_for_any_separator(tmp_path: Path, text: str) -> None:
    (tmp_path / "table.csv").write_text(text, encoding="utf-8", newline="")
    assert read_table(tmp_path / "table.csv") == (["a", "b, c"], ROWS)


def test_a_column_called_sep_is_a_column(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("sep,a\n1,2\n")
    assert read_table(tmp_path / "table.csv") == (["sep", "a"], [{"sep": "1", "a": "2"}])


def test_what_no_spreadsheet_can_hold_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(f"a,b\n{'x' * 131_073},2\n")
    with pytest.raises(
        UserError,
        match=r"table\.csv: not a table \(line \d: a cell has more than 131,072 letters: is a quote open\?\)$",
    ):
        read_table(tmp_path / "table.csv")
