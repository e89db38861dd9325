"""Compares the training cases of a run with its test sets by content; fingerprints stay in the cache."""

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress

from mandseg.data.cache import PreparedCase
from mandseg.data.loaded_case import load_case
from mandseg.data.same_patient.fingerprint import FINGERPRINT_FILE, Fingerprint, as_bytes, fingerprint_of, from_bytes
from mandseg.data.same_patient.suspicion import find_suspicions
from mandseg.system.checksums import is_intact, write_checksum
from mandseg.system.errors import UserError
from mandseg.system.files import atomic_write

log = logging.getLogger(__name__)


def refuse_same_patients(
    training: Sequence[PreparedCase], testing: Sequence[PreparedCase], allowed: Iterable[str] = ()
) -> None:
    """Refuse a patient who is in training and in a test set under two names; warn of a pair that may be one patient.

    Args:
        training: The cases for training and validation.
        testing: The cases of all test sets.
        allowed: Subjects that may be in both, by either of their names.

    Raises:
        UserError: One line for each pair that is certain.
    """
    permitted, problems = set(allowed), []
    trained, tested = ([(p.case, stored_fingerprint(p)) for p in cases] for cases in (training, testing))
    for suspicion in find_suspicions(trained, tested):
        first, second = suspicion.first, suspicion.second
        if permitted & {first.subject_id, second.subject_id}:
            continue
        line = suspicion.line(f"case {first.case_id}, used for training,", f"case {second.case_id}, used for testing,")
        advice = f"evaluation.shared_subjects=[{second.subject_id}] permits both"
        if suspicion.is_certain:
            problems.append(f"{line}: remove one of them, or {advice}")
        else:
            log.warning("%s: look at them; if they are one patient, remove one", line)
    if problems:
        raise UserError(problems)


def stored_fingerprint(prepared: PreparedCase) -> Fingerprint | None:
    """Read the fingerprint of a prepared case; None for a label without one.

    Entries of earlier versions and damaged files get one from the case's own files.
    """
    file = prepared.folder / FINGERPRINT_FILE
    name = f"{prepared.folder.name}/{file.name}"
    if is_intact(file, name):
        return from_bytes(file.read_bytes())
    taken = fingerprint_of(load_case(prepared.case))
    with suppress(OSError, UserError):  # without it, the next run takes it again
        with atomic_write(file) as stored:
            stored.write(as_bytes(taken))
        write_checksum(file, name)
    return taken
