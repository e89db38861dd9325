"""Pseudonyms: keyed hashes of identities, equal for the same patient and key.

Without the key nobody can find the pseudonym of a hospital number, not even by trying all numbers. With one key for all
imports of a site, a patient has the same pseudonym in each. The key is a secret and stays at the site.
"""

import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from mandseg.system.errors import UserError
from mandseg.system.wording import count

KEY_BYTES = 32
SHORTEST_KEY = 16  # bytes
DIGITS = 12  # hexadecimal: the probability that two of 10,000 patients share one is 1 in 5 million
OWNER_ONLY = 0o600


@dataclass(frozen=True)
class Pseudonyms:
    """Converts identities to pseudonyms."""

    key: bytes = field(repr=False)

    def of(self, kind: str, identity: str, digits: int = DIGITS) -> str:
        """Give the pseudonym of an identity, hexadecimal.

        Args:
            kind: What it identifies, such as ``patient``; the same text of two kinds has two pseudonyms.
            identity: The text to hide.
            digits: The pseudonym's length.
        """
        return hmac.new(self.key, f"{kind}\0{identity}".encode(), "sha256").hexdigest()[:digits]

    def person(self, name: str) -> str:
        """Give the pseudonym of a person's name, ignoring case; empty for an empty name."""
        plain = " ".join(name.replace("^", " ").casefold().split())
        return f"a{self.of('person', plain, 8)}" if plain else ""


def default_key_file() -> Path:
    """Give the default file of the key, in the user's settings."""
    settings = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(settings) / "mandseg" / "pseudonyms.key"


def read_or_make_key(path: Path) -> Pseudonyms:
    """Read the key; if the file is missing, make a random key that only its owner can read.

    Raises:
        UserError: Others may read the file, or it is too short.
    """
    if not path.exists():
        _make_key(path)
    if not path.is_file():
        raise UserError(f"{path}: is not a file, expected a file with a key")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise UserError(f"{path}: mode {mode:o}, expected {OWNER_ONLY:o}: others may read the key (chmod 600)")
    key = path.read_bytes().strip()
    if len(key) < SHORTEST_KEY:
        raise UserError(f"{path}: the key has {count(len(key), 'byte')}, expected at least {SHORTEST_KEY}")
    return Pseudonyms(key)


def _make_key(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "w") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
    except OSError as error:
        raise UserError(
            f"{path}: the key cannot be written ({error.strerror}); choose another file with --key"
        ) from error
