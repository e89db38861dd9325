"""Replacement of folders, its refusal, and the files that a killed writer leaves behind."""

import errno
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mandseg.system.errors import UserError
from mandseg.system.files import (
    LIST,
    Kind,
    atomic_folder,
    atomic_write,
    refuse_foreign_file,
    refuse_foreign_files,
    replaced_folder,
    writable_folder,
    write_csv,
    write_text,
)

ALBUM = Kind("an album", "choose an empty folder with --out", frozenset({"a.txt"}), re.compile(r"a\.txt|pages/\d\.txt"))
BINDER = Kind("a binder", "choose an empty folder with --out", frozenset(), re.compile(r".*"))


def write_album(dest: Path, text: str = "first") -> Path:
    with replaced_folder(dest, ALBUM) as part:
        (part / "pages").mkdir()
        (part / "a.txt").write_text(text)
        (part / "pages" / "1.txt").write_text(text)
    return dest


def test_an_album_replaces_an_earlier_one(tmp_path: Path) -> None:
    write_album(tmp_path / "album")
    write_album(tmp_path / "album", "second")
    assert (tmp_path / "album" / "pages" / "1.txt").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["album"]


@pytest.mark.parametrize("mine", ["mine.txt", "pages/mine.txt", "pages/2.txt", "deep/er/mine.txt", ".hidden"])
def test_a_file_of_ones_own_is_named_and_stays(tmp_path: Path, mine: str) -> None:
    album = write_album(tmp_path / "album")
    (album / mine).parent.mkdir(parents=True, exist_ok=True)
    (album / mine).write_text("mine")
    with pytest.raises(UserError, match=f"album: holds {re.escape(mine)}, which an album did not write; move it away"):
        write_album(album, "second")
    assert (album / mine).read_text() == "mine"
    assert (album / "a.txt").read_text() == "first"


def test_a_link_of_ones_own_is_a_file_of_ones_own_and_is_not_followed(tmp_path: Path) -> None:
    album = write_album(tmp_path / "album")
    (tmp_path / "scans").mkdir()
    (album / "scans").symlink_to(tmp_path / "scans")
    with pytest.raises(UserError, match="holds scans, which an album did not write"):
        write_album(album)


def test_a_file_that_was_changed_since_is_named_and_stays(tmp_path: Path) -> None:
    album = write_album(tmp_path / "album")
    (album / "a.txt").write_text("firsT")
    with pytest.raises(UserError, match=r"album: a\.txt was changed after it was written; move it away"):
        write_album(album, "second")
    assert (album / "a.txt").read_text() == "firsT"


def test_a_file_that_comes_while_the_folder_is_written_stays(tmp_path: Path) -> None:
    album = write_album(tmp_path / "album")
    with pytest.raises(UserError, match=r"holds late\.txt"), replaced_folder(album, ALBUM):
        (album / "late.txt").write_text("mine")
    assert (album / "late.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["album"]


def test_a_folder_of_another_command_is_not_replaced(tmp_path: Path) -> None:
    album = write_album(tmp_path / "album")
    with pytest.raises(UserError, match="album: is an album, not a binder"):
        refuse_foreign_files(album, BINDER)


def test_a_folder_without_a_list_is_replaced_if_all_its_names_are_known(tmp_path: Path) -> None:
    album = write_album(tmp_path / "album")
    (album / LIST).unlink()
    write_album(album, "second")
    (album / LIST).unlink()
    (album / "pages" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds pages/mine\.txt"):
        write_album(album)


def test_a_folder_without_a_list_and_without_what_is_always_there_is_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "mine" / "pages").mkdir(parents=True)
    (tmp_path / "mine" / "pages" / "1.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds pages/1\.txt"):
        write_album(tmp_path / "mine")


def test_empty_folders_and_the_files_of_file_browsers_are_nothing_to_lose(tmp_path: Path) -> None:
    album = write_album(tmp_path / "album")
    (album / "empty").mkdir()
    (album / ".DS_Store").write_text("")
    write_album(album)
    assert not (album / "empty").exists()


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="file: is a file, expected a folder for an album"):
        write_album(tmp_path / "file")
    with pytest.raises(UserError, match=r"file/album: cannot be written \(.*file is a file\); choose an empty folder"):
        write_album(tmp_path / "file" / "album")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    write_album(tmp_path / "disk" / "album")
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "album")
    write_album(tmp_path / "link", "second")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "album" / "a.txt").read_text() == "second"


def test_a_table_of_ones_own_is_not_replaced_by_another(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    refuse_foreign_file(file, "a,b", "a table", "choose another name")
    for own in ("a,b\n1,2\n", ""):
        file.write_text(own)
        refuse_foreign_file(file, "a,b", "a table", "choose another name")
    for other in ("a,b,c\n1,2,3\n", "notes", "a,b"):
        file.write_text(other)
        with pytest.raises(UserError, match=r"table\.csv: is not a table that mandseg wrote; choose another name"):
            refuse_foreign_file(file, "a,b", "a table", "choose another name")
    with pytest.raises(UserError, match="is a folder, expected a file"):
        refuse_foreign_file(tmp_path, "a,b", "a table", "choose another name")


KILLED = """
import os, sys
from pathlib import Path
from mandseg.system.files import atomic_folder
with atomic_folder(Path(sys.argv[1])) as part:
    (part / "half.txt").write_text("half")
    if sys.argv[2] == "while writing":
        os.kill(os.getpid(), 9)
    rename = Path.rename
    Path.rename = lambda self, target: os.kill(os.getpid(), 9) if self == part else rename(self, target)
"""


def kill_a_writer(dest: Path, when: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(dest), when], check=False)
    assert done.returncode == -9


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path) -> None:
    album = write_album(tmp_path / "album")
    kill_a_writer(album, "while writing")
    assert len(list(tmp_path.iterdir())) == 2
    write_album(album, "second")
    assert [path.name for path in tmp_path.iterdir()] == ["album"]


def test_what_a_writer_had_moved_away_when_it_was_killed_comes_back(tmp_path: Path) -> None:
    album = write_album(tmp_path / "album")
    kill_a_writer(album, "while replacing")
    assert not album.exists()
    with pytest.raises(RuntimeError), atomic_folder(album):
        raise RuntimeError("before anything is written")
    assert (album / "a.txt").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["album"]


def test_what_a_living_writer_is_writing_stays(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "album") as part:
        (part / "a.txt").write_text("slow")
        write_album(tmp_path / "album", "quick")
        assert (part / "a.txt").read_text() == "slow"


@pytest.mark.parametrize("mark", ["0123456789ab", "ffffff0000010123abcd"])
def test_what_nobody_touched_for_a_day_is_removed_wherever_its_writer_was(tmp_path: Path, mark: str) -> None:
    """Leftovers of earlier versions, named by twelve digits, and of other machines."""
    for album, age_h in (("old", 25), ("fresh", 23)):
        leftover = tmp_path / f".{album}.{mark}"
        leftover.mkdir()
        (leftover / "half.txt").touch()
        for path in (leftover / "half.txt", leftover):
            os.utime(path, (time.time() - 3600 * age_h,) * 2)
        write_album(tmp_path / album)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".fresh.{mark}", "fresh", "old"]


def test_hidden_folders_of_other_names_stay(tmp_path: Path) -> None:
    for name in (".album.backup", ".album.0123", "album.0123456789ab", ".albums.0123456789ab"):
        (tmp_path / name).mkdir()
    write_album(tmp_path / "album")
    assert len(list(tmp_path.iterdir())) == 5


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_one_line_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mandseg.system.files.os.fsync", full)
    line = r"album: cannot be written \(No space left on device\); choose an empty folder"
    with pytest.raises(UserError, match=line), replaced_folder(tmp_path / "album", ALBUM) as part:
        write_text(part / "a.txt", "first")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_in_a_training_is_no_wrong_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mandseg.system.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"), atomic_write(tmp_path / "last.ckpt") as file:
        file.write(b"x")


def test_a_read_only_place_is_one_line_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mandseg.system.files.os.access", lambda *_: False)
    with pytest.raises(
        UserError, match=r"album: cannot be written \(.* is read-only\); choose an empty folder with --out"
    ):
        refuse_foreign_files(tmp_path / "album", ALBUM)


def test_a_folder_of_a_setting_that_cannot_be_made_is_one_line_with_the_setting(tmp_path: Path) -> None:
    assert writable_folder(tmp_path / "a" / "b", "cache_dir").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cache_dir=.*file/cache: cannot be written \(Not a directory\)$"):
        writable_folder(tmp_path / "file" / "cache", "cache_dir")


def test_a_tilde_makes_no_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"cache_dir=~/cache: write the folder in full or with \$\{oc.env:HOME\}"):
        writable_folder(Path("~/cache"), "cache_dir")
    assert list(tmp_path.iterdir()) == []


def test_a_large_foreign_folder_is_refused_at_its_first_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home" / "scans").mkdir(parents=True)
    (tmp_path / "home" / "letter.txt").write_text("mine")
    seen: list[str] = []
    walk = os.walk
    monkeypatch.setattr(
        "mandseg.system.files.os.walk", lambda top: (seen.append(step[0]) or step for step in walk(top))
    )
    with pytest.raises(UserError, match=r"home: holds letter\.txt"):
        refuse_foreign_files(tmp_path / "home", ALBUM)
    assert seen == [str(tmp_path / "home")]


def test_an_error_about_another_file_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replaced_folder(tmp_path / "album", ALBUM):
        (tmp_path / "scan.nii").read_bytes()


def test_a_csv_row_is_a_mapping_or_a_sequence(tmp_path: Path) -> None:
    write_csv(tmp_path / "out" / "table.csv", ("run", "note"), [{"run": "a"}, ("b", 'x, "y"'), ["c", 2]])
    assert (tmp_path / "out" / "table.csv").read_bytes() == b'run,note\na,\nb,"x, ""y"""\nc,2\n'


@pytest.mark.parametrize("row", [{"run": "a", "job": 1}, ("a",), ("a", "b", "c")])
def test_a_csv_row_of_other_columns_leaves_the_file_as_it_was(tmp_path: Path, row: Any) -> None:
    (tmp_path / "table.csv").write_text("run,note\n")
    with pytest.raises(ValueError, match=r"fieldnames|zip"):
        write_csv(tmp_path / "table.csv", ("run", "note"), [row])
    assert (tmp_path / "table.csv").read_text() == "run,note\n"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
