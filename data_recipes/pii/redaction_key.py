"""The secret key that replacements are drawn with: random for each run, or from a file of the user.

Who knows the secret can test guesses ("is this `bob@corp.io`?"); who does not can't, however many replacements there
are to look at. So it is never written to any output.
"""

import contextlib
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
        return self.fingerprint()

    def fingerprint(self) -> str:
        """Return what parts that were made with this very key share; it does not tell the key."""
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


def key_of_run(seed: int | None, key_file: str | os.PathLike[str] | None, kept: Path | None = None) -> RedactionKey:
    """Return the key of a run over many files: of the key file, of the seed, or a random one.

    `kept` is where a random key is kept until all parts of the run are made, see `kept_key`.

    Raises:
        DataError: both are given, or the file holds no key.
    """
    if key_file is None:
        if seed is not None:
            return RedactionKey.of_seed(seed)
        return RedactionKey.random() if kept is None else kept_key(kept)
    if seed is not None:
        raise DataError("--seed and --key-file are both given. Pass one of them, or none for a random key.")
    return RedactionKey.of_file(key_file)


def kept_key(path: Path) -> RedactionKey:
    """Return the random key in a file that only its owner can read; where there is none, one is drawn and kept.

    All processes and machines that see the file have the same key, whichever comes first.

    Raises:
        DataError: the file can't be written, or is no such key.
    """
    try:
        if not path.exists():
            _draw_into(path)
        secret = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: the key of this run can't be kept ({error.strerror}). Pass --key-file FILE."
        ) from error
    if len(secret) != _RANDOM_BYTES:
        raise DataError(
            f"{path}: holds {len(secret)} bytes, expected the {_RANDOM_BYTES} of this run's key. Delete it: what is "
            "finished of the run is then made again."
        )
    return RedactionKey(secret, "random")


def _draw_into(path: Path) -> None:
    """Write a random key to a file in one step, unless another process has just done so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_RANDOM_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
