"""YAML from a file that anybody may have written, without what can hang its reader."""

from pathlib import Path
from typing import Any

import yaml

from mandseg.system.errors import in_plain_words

LARGEST = 1_000_000  # bytes; a run's settings are a few thousand
DEEPEST = 40  # nested groups
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(file: Path) -> Any:
    """Read a file as :func:`load_yaml` reads a text.

    Raises:
        ValueError: It cannot be read, is larger than ``LARGEST``, or is no plain YAML; one line.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError(f"larger than {LARGEST} bytes")
        return load_yaml(content.decode("utf-8"))
    except OSError as error:
        raise ValueError(error.strerror or type(error).__name__) from error


def load_yaml(text: str) -> Any:
    """Load plain YAML: texts, numbers, lists, groups; no aliases, which let a few bytes stand for gigabytes.

    Raises:
        ValueError: It is no YAML, holds an alias or is nested deeper than ``DEEPEST``; one line.
    """
    try:
        depth = 0
        for event in yaml.parse(text, Loader=LOADER):
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.AliasEvent):
                raise ValueError(f"line {line} holds an alias (*{event.anchor})")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise ValueError(f"line {line} is nested deeper than {DEEPEST} groups")
        return yaml.load(text, LOADER)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(in_plain_words(error).split())) from error
