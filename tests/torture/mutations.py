"""Seeded damage: bytes of any file, cells of a table, values of JSON, elements of a DICOM data set."""

import csv
import gzip
import io
import json
import random
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

EXTREMES = (b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f")
NUMBER = re.compile(rb"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
ODD_NUMBERS = (*("0", "-1", "1", "2", "3", "1e308", "-1e308", "nan", "inf", "-inf", "1e-320", "0.5", "-0.0"),)
ODD_NUMBERS += ("2147483648", "4294967296", "9223372036854775808", "9" * 400, "9" * 5000, "0x10", "1,5", "²", "")
ODD_TEXTS = (
    *("", " ", ".", "..", "/", "../../../escaped", "/dev/zero", "~", "C:\\x", "a\nb", "a\rb", "\x00", "\x1b[31m"),
    *("$a_{$", "[red]", "[/]", "%s%n", "${x}", "{x}", "<script>", "=1+1", "-1", "nan", "NaN", "null", "true", "'"),
    *('"', ",", ";", "\t", "#", "&a", "*a", "!!python/object:os.system", "é", "\u2028", "\U0001f9b7", "x" * 300),
    *("x" * 140_000, "0" * 5000, "1e999", "done", "running", "2026-13-45", "0001-01-01T00:00:00", "\ud800"),
)
ODD_VALUES = (
    *(None, True, False, 0, -1, 1, 2**63, 10**400, 0.5, -0.5, 1e308, float("nan"), float("inf"), [], {}, [[]]),
    *([1, "a", None], {"a": {"b": [1]}}, {"": 1}, ["x"] * 50, *ODD_TEXTS),
)


def _deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def odd_value(rng: random.Random) -> Any:
    """A value that a field hardly ever has."""
    return _deep(rng.choice((5, 60, 900))) if rng.random() < 0.03 else rng.choice(ODD_VALUES)


# Bytes ----------------------------------------------------------------------------------------------------------------


def _place(rng: random.Random, size: int) -> int:
    """Half of all damage is in the header."""
    return rng.randrange(min(size, 500) if rng.random() < 0.6 else size) if size else 0


def _flip(rng: random.Random, whole: bytes, _: Sequence[bytes]) -> bytes:
    changed = bytearray(whole or b"\0")
    for _ in range(rng.choice((1, 1, 3))):
        at = _place(rng, len(changed))
        changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(rng: random.Random, whole: bytes, _: Sequence[bytes]) -> bytes:
    at, piece = _place(rng, len(whole)), rng.choice((*EXTREMES, rng.randbytes(rng.randint(1, 8))))
    return whole[:at] + piece + whole[at + len(piece) :]


def _insert(rng: random.Random, whole: bytes, _: Sequence[bytes]) -> bytes:
    at, long = _place(rng, len(whole)), rng.choice((1, 4, 1200, 70_000))
    piece = rng.choice((b"a", b"\n", b"9", b" ", b"\x00")) * long if rng.random() < 0.5 else rng.randbytes(long % 97)
    return whole[:at] + piece + whole[at:]


def _delete(rng: random.Random, whole: bytes, _: Sequence[bytes]) -> bytes:
    at = _place(rng, len(whole))
    return whole[:at] + whole[at + rng.choice((1, 2, 8, 100)) :]


def _cut(rng: random.Random, whole: bytes, _: Sequence[bytes]) -> bytes:
    return whole[: _place(rng, len(whole))]


def _repeat(rng: random.Random, whole: bytes, _: Sequence[bytes]) -> bytes:
    at, size = _place(rng, len(whole)), rng.choice((4, 40, 400))
    return whole[: at + size] + whole[at:]


def _renumber(rng: random.Random, whole: bytes, _: Sequence[bytes]) -> bytes:
    found = list(NUMBER.finditer(whole[:4000]))
    if not found:
        return _flip(rng, whole, _)
    match = rng.choice(found)
    return whole[: match.start()] + rng.choice(ODD_NUMBERS).encode() + whole[match.end() :]


def _splice(rng: random.Random, whole: bytes, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others)
    return whole[: _place(rng, len(whole))] + other[_place(rng, len(other)) :]


def _swap_lines(rng: random.Random, whole: bytes, _: Sequence[bytes]) -> bytes:
    lines = whole.split(b"\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


BYTE_DAMAGE: tuple[Callable[..., bytes], ...] = (
    *(_flip, _flip, _overwrite, _overwrite, _insert, _delete, _cut, _repeat, _renumber, _renumber, _splice),
    _swap_lines,
)


def damage_bytes(rng: random.Random, whole: bytes, others: Sequence[bytes]) -> bytes:
    """One or two pieces of damage; half of the packed files are damaged before they are packed."""
    if whole[:2] == b"\x1f\x8b" and rng.random() < 0.5:
        plain = [gzip.decompress(other) if other[:2] == b"\x1f\x8b" else other for other in others]
        return gzip.compress(damage_bytes(rng, gzip.decompress(whole), plain), 1, mtime=0)
    for _ in range(rng.choice((1, 1, 1, 2))):
        whole = rng.choice(BYTE_DAMAGE)(rng, whole, others)
    return whole


def damage_headed(rng: random.Random, whole: bytes, others: Sequence[bytes]) -> bytes:
    """Damage of a text header with packed voxels behind it: half of them are packed again after damage."""
    end = whole.find(b"\n\n") + 2 if b"\n\n" in whole[:4000] else whole.find(b"LOCAL\n") + 6
    if rng.random() < 0.3 and end > 6:
        with_zip = whole[end : end + 2] == b"\x1f\x8b"
        voxels = rng.randbytes(rng.choice((0, 10, 5000)))
        return whole[:end] + (gzip.compress(voxels, mtime=0) if with_zip else zlib.compress(voxels))
    return damage_bytes(rng, whole, others)


# Tables, JSON ---------------------------------------------------------------------------------------------------------


def damage_table(rng: random.Random, whole: bytes, others: Sequence[bytes]) -> bytes:
    """A cell, a column or a row of a CSV file, or its bytes."""
    if rng.random() < 0.3:
        return damage_bytes(rng, whole, others)
    rows = list(csv.reader(io.StringIO(whole.decode())))
    for _ in range(rng.choice((1, 1, 2))):
        row = rng.randrange(len(rows))
        kind = rng.randrange(8)
        if kind < 4 and rows[row]:
            rows[row][rng.randrange(len(rows[row]))] = rng.choice((*ODD_TEXTS, *ODD_NUMBERS))
        elif kind == 4:
            column = rng.randrange(max(len(rows[0]), 1))
            rows = [cells[:column] + cells[column + 1 :] for cells in rows]
        elif kind == 5:
            rows.insert(row, list(rng.choice(rows)))
        elif kind == 6:
            del rows[row]
            rows = rows or [[""]]
        else:
            rows[row] = [*rows[row], rng.choice(ODD_TEXTS)]
    text = io.StringIO()
    csv.writer(text, delimiter=rng.choice(",,,,;\t"), lineterminator=rng.choice(("\n", "\r\n"))).writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def damage_json(rng: random.Random, whole: bytes, others: Sequence[bytes]) -> bytes:
    """A value anywhere in a JSON file, or its bytes."""
    if rng.random() < 0.3:
        return damage_bytes(rng, whole, others)
    facts = json.loads(whole)
    change_value(rng, facts, lambda: odd_value(rng))
    return json.dumps(facts).encode()


def change_value(rng: random.Random, facts: Any, odd: Callable[[], Any]) -> None:
    """Replace, drop or add one or two values anywhere in nested groups and lists."""
    for _ in range(rng.choice((1, 1, 2))):
        node, key = rng.choice(list(_keys(facts)) or [(facts, "a")])
        kind = rng.randrange(6)
        if kind == 0:
            node.pop(key, None) if isinstance(node, dict) else node.pop(key)
        elif kind == 1 and isinstance(node, dict):
            node[rng.choice(ODD_TEXTS)] = odd()
        else:
            node[key] = odd()


def _keys(node: Any) -> Any:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield node, key
        yield from _keys(value)


# DICOM ----------------------------------------------------------------------------------------------------------------


def damage_dicom(rng: random.Random, whole: bytes, others: Sequence[bytes]) -> bytes:
    """An element anywhere in a data set is changed, emptied or dropped; or the bytes are damaged."""
    if rng.random() < 0.5:
        return damage_bytes(rng, whole, others)
    from mandseg.data.dicom.dataset import reading

    with reading():
        dataset = dcmread(io.BytesIO(whole))
        for _ in range(rng.choice((1, 1, 2))):
            holder, element = rng.choice(list(_elements(dataset)))
            _change(rng, holder, element)
        written = io.BytesIO()
        try:
            dcmwrite(written, dataset)
        except Exception:  # pydicom does not write every value
            return damage_bytes(rng, whole, others)
    return written.getvalue()


def _elements(dataset: Dataset) -> Any:
    for element in dataset:
        yield dataset, element
        if element.VR == "SQ":
            for item in element.value:
                yield from _elements(item)


def _change(rng: random.Random, holder: Dataset, element: Any) -> None:
    kind = rng.randrange(5)
    if kind == 0:
        del holder[element.tag]
    elif kind == 1 or element.VR == "SQ":
        element.value = [] if element.VR == "SQ" else None
    elif element.VR in ("US", "SS", "UL", "SL"):
        element.value = rng.choice((0, 1, 2, 3, 255, 65535 if element.VR[0] == "U" else -1))
    elif element.VR in ("OW", "OB"):
        element.value = element.value[: rng.randrange(len(element.value) + 1)]
    elif element.VR in ("DS", "IS"):
        count = element.VM if isinstance(element.VM, int) else 1
        values = [str(value) for value in (element.value if count > 1 else [element.value])]
        values[rng.randrange(len(values))] = rng.choice(ODD_NUMBERS)
        if rng.random() < 0.2:
            values = values[:-1]
        element._value = "\\".join(values)
    else:
        element._value = rng.choice(ODD_TEXTS)
