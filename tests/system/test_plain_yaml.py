"""Foreign YAML is read at once or refused at once."""

import time

import pytest

from mandseg.system.plain_yaml import LARGEST, load_yaml, read_yaml


def test_settings_are_read_as_they_were_written():
    assert load_yaml("a: {b: [1, 2.5, null], c: text}\nd: true") == {"a": {"b": [1, 2.5, None], "c": "text"}, "d": True}


def bomb(levels: int) -> str:
    """Nested aliases: 9 to the power of ``levels`` items in a few hundred bytes."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (bomb(12), r"line 2 holds an alias \(\*a0\)"),
        ("a: &a [*a]", "line 1 holds an alias"),
        ("[" * 5000, "nested deeper than 40"),
        ("a: [1", "not plain YAML from line 2, column 1 on"),
        ("a: !!python/object/apply:os.getcwd []", "not plain YAML from line 1, column 4 on"),
    ],
)
def test_what_could_hang_a_reader_is_refused_in_one_line(text, reason):
    started = time.monotonic()
    with pytest.raises(ValueError, match=reason) as error:
        load_yaml(text)
    assert time.monotonic() - started < 1
    assert "\n" not in str(error.value)


def test_a_file_that_is_too_large_or_absent_is_refused(tmp_path):
    (tmp_path / "large.yaml").write_text("#" * (LARGEST + 1))
    with pytest.raises(ValueError, match="larger than 1000000 bytes"):
        read_yaml(tmp_path / "large.yaml")
    with pytest.raises(ValueError, match="No such file"):
        read_yaml(tmp_path / "none.yaml")
