"""What W&B recorded in a run folder: which recordings have arrived on the server, and which wait to be sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SYNCED = ".synced"  # the client's own mark beside a recording that it has uploaded
UNSENT = ".unsent"  # ours, beside the recording of an online run that could not be finished


@dataclass(frozen=True)
class Recording:
    """One file ``run-<id>.wandb`` in a folder of its own; a run that was resumed has several, under one id."""

    file: Path

    @property
    def folder(self) -> Path:
        """The folder with the recording and its pictures and tables."""
        return self.file.parent

    @property
    def is_offline(self) -> bool:
        """Whether it was recorded without a server."""
        return self.folder.name.startswith("offline-")

    @property
    def has_arrived(self) -> bool:
        """Whether the server has all that can be sent of it."""
        return self._is_marked(SYNCED) or not (self.is_offline or self._is_marked(UNSENT))

    @property
    def start(self) -> tuple[str, bool]:
        """When it was begun, as a key to sort by; one online and one offline in the same second came in that order."""
        return self.folder.name.removeprefix("offline-"), self.is_offline

    def mark(self, mark: str) -> None:
        """Put an empty file beside it: ``SYNCED`` or ``UNSENT``."""
        self.file.with_name(self.file.name + mark).touch()

    def _is_marked(self, mark: str) -> bool:
        return self.file.with_name(self.file.name + mark).exists()


def recordings(run_folder: Path) -> list[Recording]:
    """The recordings of a run in the order of their start."""
    files = run_folder.glob("wandb/*run-*/run-*.wandb")
    return sorted((Recording(file) for file in files), key=lambda recording: recording.start)


def waiting(own: Sequence[Recording]) -> list[Recording]:
    """Those of a run that are to be sent: the ones begun after the last that has arrived."""
    arrived = [place for place, recording in enumerate(own) if recording.has_arrived]
    return list(own[arrived[-1] + 1 :] if arrived else own)


def overtaken(own: Sequence[Recording]) -> list[Recording]:
    """Those of a run that a later one overtook on its way to the server: sent now, they would overwrite it."""
    return [recording for recording in own if not recording.has_arrived and recording not in waiting(own)]
