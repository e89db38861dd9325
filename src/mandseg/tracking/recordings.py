"""The W&B recordings of a run folder: those that are on the server, and those that are still to be sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SYNCED = ".synced"  # the mark of the client beside an uploaded recording
UNSENT = ".unsent"  # our mark beside the recording of an online run that could not be finished


@dataclass(frozen=True)
class Recording:
    """One file ``run-<id>.wandb`` in its own folder. A resumed run has several, with one id."""

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
        """Whether the server has the whole recording."""
        return self._is_marked(SYNCED) or not (self.is_offline or self._is_marked(UNSENT))

    @property
    def start(self) -> tuple[str, bool]:
        """Start time as a sort key. In the same second, the online recording is the first."""
        return self.folder.name.removeprefix("offline-"), self.is_offline

    def mark(self, mark: str) -> None:
        """Write an empty file beside the recording: ``SYNCED`` or ``UNSENT``."""
        self.file.with_name(self.file.name + mark).touch()

    def _is_marked(self, mark: str) -> bool:
        return self.file.with_name(self.file.name + mark).exists()


def recordings(run_folder: Path) -> list[Recording]:
    """The recordings of a run in the order of their start."""
    files = run_folder.glob("wandb/*run-*/run-*.wandb")
    return sorted((Recording(file) for file in files), key=lambda recording: recording.start)


def waiting(own: Sequence[Recording]) -> list[Recording]:
    """The recordings to send: those that started after the last one on the server."""
    arrived = [place for place, recording in enumerate(own) if recording.has_arrived]
    return list(own[arrived[-1] + 1 :] if arrived else own)


def overtaken(own: Sequence[Recording]) -> list[Recording]:
    """The recordings that are older than one on the server. If they were sent now, they would overwrite it."""
    return [recording for recording in own if not recording.has_arrived and recording not in waiting(own)]
