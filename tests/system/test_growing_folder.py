"""A folder that grows over several calls replaces only its own files, also after a call that was killed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mandseg.system.errors import UserError
from mandseg.system.files import Kind
from mandseg.system.growing_folder import LOCK, growing_folder
from mandseg.system.lock import locked

KIND = Kind("predictions", "choose another folder with --out", frozenset(), re.compile("(?!)"))


def write(folder: Path, name: str, text: str) -> None:
    with growing_folder(folder, KIND) as own, own.writing([name]):
        (folder / name).write_text(text)


def test_own_files_are_replaced_and_files_of_others_stay(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "first")
    write(tmp_path, "a.txt", "second")
    (tmp_path / "b.txt").write_text("mine")
    with pytest.raises(UserError, match=r"b\.txt: predictions did not write it; move it away or choose another folder"):
        write(tmp_path, "b.txt", "theirs")
    (tmp_path / "a.txt").write_text("edited")
    with pytest.raises(UserError, match=r"a\.txt: was changed after it was written"):
        write(tmp_path, "a.txt", "third")
    assert (tmp_path / "a.txt").read_text() == "edited"
    assert (tmp_path / "b.txt").read_text() == "mine"


def test_files_of_a_killed_call_are_known_as_its_own(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), growing_folder(tmp_path, KIND) as own, own.writing(["a.txt", "b.txt"]):  # noqa: PT012
        (tmp_path / "a.txt").write_text("half of the work")
        raise KeyboardInterrupt
    with growing_folder(tmp_path, KIND) as own:
        assert not own.is_whole("a.txt")
    write(tmp_path, "a.txt", "whole")
    with growing_folder(tmp_path, KIND) as own:
        assert own.is_whole("a.txt")
        own.remove(["a.txt", "b.txt"])
    assert not (tmp_path / "a.txt").exists()


def test_a_folder_of_another_command_or_process_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "p", "a.txt", "x")
    other = Kind("an audit", "choose another folder", frozenset(), re.compile("(?!)"))
    with pytest.raises(UserError, match="is predictions, not an audit"), growing_folder(tmp_path / "p", other):
        pass
    with locked(tmp_path / "p" / LOCK), pytest.raises(UserError, match=r"process \d+ on .* writes to it"):
        write(tmp_path / "p", "a.txt", "y")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file, expected a folder for predictions"):
        write(tmp_path / "file", "a.txt", "x")


def test_what_another_call_wrote_just_before_the_lock_is_taken_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def late(file: Path, patience_s: float | None = None) -> Iterator[None]:
        monkeypatch.undo()
        write(tmp_path, "theirs.txt", "x")  # the other call ends while this one waits for the lock
        with locked(file, patience_s):
            yield

    monkeypatch.setattr("mandseg.system.growing_folder.locked", late)
    write(tmp_path, "mine.txt", "x")
    with growing_folder(tmp_path, KIND) as own:
        assert own.is_whole("theirs.txt")
        assert own.is_whole("mine.txt")
