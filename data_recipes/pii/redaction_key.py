"""The secret with which replacements and digests are drawn: random for each run, or from a file that the user keeps.

Who knows the secret can test guesses ("is this `bob@corp.io`?"); who does not can't, however many replacements there
are to look at. So it is never written to any output.
"""

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from data_recipes.errors import DataError

_MIN_BYTES, _MAX_BYTES = 16, 1 << 16
_RANDOM_BYTES = 32


@dataclass(frozen=True, slots=True)
class RedactionKey:
    """The secret of a redaction, and where it is from: `random`, `key file` or `public seed`."""

    secret: bytes = field(repr=False)
    origin: str

    @classmethod
    def random(cls) -> "RedactionKey":
        """Return a new secret that nobody knows; it ends with the process."""
        return cls(secrets.token_bytes(_RANDOM_BYTES), "random")

    @classmethod
    def of_seed(cls, seed: int) -> "RedactionKey":
        """Return the key of a seed: repeatable by anyone, so what is redacted with it can be looked up by guessing."""
        return cls(str(seed).encode(), "public seed")

    @classmethod
    def of_file(cls, path: str | os.PathLike[str]) -> "RedactionKey":
        """Return the key that a file holds; white space at its end does not count.

        Raises:
            DataError: the file can't be read, or holds fewer than 16 bytes.
        """
        try:
            if not Path(path).is_file():
                raise DataError(f"{path}: no such file. Make a key with: openssl rand -hex 32 > {path}")
            with Path(path).open("rb") as file:
                secret = file.read(_MAX_BYTES + 1).rstrip()
        except OSError as error:
            raise DataError(f"{path}: not readable ({error.strerror}). Pass a file with a secret.") from error
        if not _MIN_BYTES <= len(secret) <= _MAX_BYTES:
            raise DataError(
                f"{path}: holds {len(secret):,} bytes, expected {_MIN_BYTES} to {_MAX_BYTES:,} that can't be guessed. "
                f"Make a key with: openssl rand -hex 32 > {path}"
            )
        return cls(secret, "key file")

    def check(self) -> str:
        """Return what two runs with the same key share, from which the key can't be told; random keys share one."""
        if self.origin == "random":
            return self.origin
        return f"{self.origin} {hmac.digest(self.secret, b'check', hashlib.sha256)[:8].hex()}"


@cache
def process_key() -> RedactionKey:
    """Return the random key of this process: all that it redacts without another key is redacted alike."""
    return RedactionKey.random()


def chosen_key(key: RedactionKey | None = None, seed: int | None = None) -> RedactionKey:
    """Return the key that is given, that of the seed, or the random one of this process.

    Raises:
        DataError: both are given.
    """
    if key is not None and seed is not None:
        raise DataError("redact: got a key and a seed. Pass one of them, or none for a random key.")
    if seed is not None:
        return RedactionKey.of_seed(seed)
    return key or process_key()


def key_of_run(seed: int | None, key_file: str | os.PathLike[str] | None) -> RedactionKey:
    """Return the key of a run over many files: of the key file, of the seed, or a new random one.

    Raises:
        DataError: both are given, or the file holds no key.
    """
    if key_file is None:
        return RedactionKey.random() if seed is None else RedactionKey.of_seed(seed)
    if seed is not None:
        raise DataError("--seed and --key-file are both given. Pass one of them, or none for a random key.")
    return RedactionKey.of_file(key_file)
