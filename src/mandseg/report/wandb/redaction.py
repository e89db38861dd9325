"""A report as it may leave the machine: without the folders, hosts and subjects that the one in the study names."""

import csv
import html
import io
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from mandseg.runs.study import Study
from mandseg.system.config_paths import home_folder
from mandseg.system.files import LIST
from mandseg.tracking.tracker import without_folders

TEXTS = frozenset({".html", ".csv", ".md", ".tex", ".svg", ".txt"})
PICTURES = frozenset({".png", ".webp", ".jpg"})
PRIVATE_COLUMNS = re.compile(r"subject_id|annotator|host|group_.*")
"""Columns of a table that no run sends either: whose case it is, who contoured it, what else the manifest says."""
ANNOTATORS = re.compile(r"<!-- annotators -->.*?<!-- /annotators -->", flags=re.DOTALL)
"""The part of the page that names those who contoured; its figures and tables are files called ``noise-...``."""
WITHHELD = "withheld"
FOLDER = re.compile(r"(?<![\w/.:])/[\w.+@-]+(?:/[\w.+@-]+)+")


def copy_report(report: Path, dest: Path, private: Mapping[str, str]) -> list[str]:
    """Copy a report's texts and pictures with other words for what is private.

    Args:
        report: The folder that ``mandseg report`` wrote.
        dest: The folder to copy into.
        private: What must not leave the machine, and what stands in its place (:func:`private_words`).

    Returns:
        Names of the files that were left out, because they cannot be read as text (PDF) or name a private word still.
    """
    left_out = []
    for file in sorted(path for path in report.rglob("*") if path.is_file()):
        name = file.relative_to(report)
        if name.name == LIST:
            continue
        (dest / name).parent.mkdir(parents=True, exist_ok=True)
        if _names_annotators(name) or (file.suffix == ".pdf" and name.parts[0] == "figures"):
            continue  # a figure's PDF shows what its SVG shows
        if file.suffix in PICTURES:
            shutil.copyfile(file, dest / name)
        elif file.suffix in TEXTS and (text := _cleaned(file, private)) is not None:
            (dest / name).write_text(text, encoding="utf-8")
        else:
            left_out.append(str(name))
    return left_out


def private_words(study: Study) -> dict[str, str]:
    """What a study's settings and records say about this machine, the longest first: folders and hosts."""
    texts = [text for run in study.ledger.run for text in _texts(_config(study.path / str(run) / "config.yaml"))]
    errors = " ".join(str(record.get("error") or "") for record in study.records.values())
    folders = {*texts, *FOLDER.findall(errors), str(study.path.resolve())}
    words = {folder: without_folders(folder) for folder in folders if without_folders(folder) != folder}
    if len(home_folder().parts) > 1:
        words[str(home_folder())] = "~"
    words |= {str(record["host"]): WITHHELD for record in study.records.values() if record.get("host")}
    words |= {html.escape(word): html.escape(instead) for word, instead in words.items()}
    return dict(sorted(words.items(), key=lambda pair: -len(pair[0])))


def _names_annotators(name: Path) -> bool:
    return name.parts[0] in ("figures", "tables") and "noise-" in name.stem


def _cleaned(file: Path, private: Mapping[str, str]) -> str | None:
    """The file's text in other words, None if it cannot be told or a private word is in it still."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    text = ANNOTATORS.sub("", text) if file.suffix == ".html" else text
    if file.suffix == ".csv":
        text = _without_private_columns(text)
    for word, instead in private.items():
        text = _pattern(word).sub(lambda _, instead=instead: instead, text)  # type: ignore[misc]
    return None if any(_pattern(word).search(text) for word in private) else text


def _pattern(word: str) -> re.Pattern[str]:
    """A folder anywhere; a host only as a word of its own, not within the letters of a picture (base64)."""
    if without_folders(word) != word:
        return re.compile(re.escape(word))
    return re.compile(rf"(?<![\w+/=.-]){re.escape(word)}(?![\w+/=-])")


def _without_private_columns(text: str) -> str:
    rows = list(csv.reader(io.StringIO(text)))
    kept = [place for place, name in enumerate(rows[0] if rows else []) if not PRIVATE_COLUMNS.fullmatch(name)]
    if not rows or len(kept) == len(rows[0]):
        return text
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([[row[place] for place in kept] for row in rows])
    return out.getvalue()


def _config(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}


def _texts(value: Any) -> Iterator[str]:
    """Every text in nested settings."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value
