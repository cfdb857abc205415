"""Write and read a packed corpus: files of 16-bit token ids with an index; a killed run can go on.

A corpus folder holds `tokens-00000.bin` and so on (little-endian uint16, every document whole in one shard and
followed by <|endoftext|>), `index.jsonl` (a line for each finished shard: counts and checksums) and `corpus.json`
(the sums; written last, so a folder without it is unfinished).
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from modeling_santa.errors_santa import ModelError
from modeling_santa.fim_santa import TOKENS
from modeling_santa.json_files import check_fields, read_object, read_objects
from modeling_santa.tokenizer.encoder import Encoder
from modeling_santa.tokenizer.train import tokenizer_digest

SHARD_TOKENS = 1 << 25  # 64 MiB
BATCH_BYTES = 8 << 20  # of text encoded at once
logger = logging.getLogger("hf_santa.model")
AGAIN = "Pack it again."
_SHARD = {"file": str, "documents": int, "tokens": int, "text_bytes": int, "sha256": str, "texts_blake2b": str}


def pack(
    texts: Iterable[str],
    tokenizer: Tokenizer,
    out: Path,
    *,
    threads: int | None = None,
    shard_tokens: int = SHARD_TOKENS,
    resume: bool = False,
    recipe: str | None = None,
    by_repository: str | None = None,
) -> dict[str, Any]:
    """Encode documents into a corpus folder and return its description, which is also in `corpus.json`.

    Special tokens spelled in a text are encoded as text. Memory stays flat. With `resume` the shards that a killed
    run finished are kept, if `texts` begins with their very documents; the bytes are those of a run without a break.
    `recipe` is the name of the recipe that the texts went through, if any; training compares it with its configuration.
    `by_repository` says in which order the files of each document stand, where a document is a repository.

    Raises:
        ValueError: the vocabulary does not fit uint16, no document was given, or `resume` meets other documents.
        OSError: the disk is full; the finished shards stay.
    """
    encoder = Encoder(tokenizer, threads=threads)
    out.mkdir(parents=True, exist_ok=True)
    header = {"tokenizer_digest": tokenizer_digest(tokenizer), "shard_tokens": shard_tokens, "recipe": recipe}
    header |= {"by_repository": by_repository} if by_repository else {}
    done = _started(out, header) if resume else _fresh(out, header)
    is_finished = (out / "corpus.json").is_file()
    documents = iter(texts)
    for shard in done:
        _skip(documents, shard, out)
    writer = _Writer(out, done)
    end_id = tokenizer.token_to_id(TOKENS.end_of_text)
    if end_id is None:
        raise ModelError(f"pack: the tokenizer lacks {TOKENS.end_of_text}. Use one that train_tokenizer made.")
    try:
        for batch in _batches(documents):
            if is_finished:
                raise ModelError(
                    f"pack: {out} is finished, but there are more documents now. Pack into another folder."
                )
            encoded = encoder.encode(batch, end_id=end_id)
            writer.add(batch, encoded.ids, encoded.counts, shard_tokens)
        writer.close_shard()
    except OSError as error:
        raise ModelError(
            error.errno,
            f"pack: {error.strerror} while writing shard {len(done)} of {out}; {len(done)} finished shards stay. "
            "Free some space and run the same again: it goes on there",
        ) from error
    finally:
        writer.abandon()
    if not done:
        raise ModelError("pack: no document was given. Check that the dataset folder has rows.")
    digests = "".join(shard["sha256"] for shard in done)
    about = {name: sum(shard[name] for shard in done) for name in ("documents", "tokens", "text_bytes")} | {
        "vocab_size": tokenizer.get_vocab_size(with_added_tokens=True),
        "shards": len(done),
        "tokens_sha256": hashlib.sha256(digests.encode()).hexdigest(),
        **header,
    }
    write_whole(out / "corpus.json", json.dumps(about, indent=2) + "\n")
    return about


class _Writer:
    """Appends to the shard that is being written, and to the index when it is full."""

    def __init__(self, out: Path, done: list[dict[str, Any]]) -> None:
        self.out, self.done = out, done
        self._open()

    def _open(self) -> None:
        self.file: Any = None
        self.partial = self.out / "tokens.partial"
        self.texts, self.tokens = hashlib.blake2b(digest_size=16), hashlib.sha256()
        self.shard = {"documents": 0, "tokens": 0, "text_bytes": 0}

    def add(self, batch: list[bytes], ids: Any, counts: Any, shard_tokens: int) -> None:
        """Write a batch; a shard ends behind the document that fills it, wherever the batches end."""
        ends = np.cumsum(counts)
        first = 0
        while first < len(batch):
            before = int(ends[first - 1]) if first else 0
            filled = before + shard_tokens - self.shard["tokens"]
            last = min(len(batch), int(np.searchsorted(ends, filled)) + 1)
            self._write(batch[first:last], ids[before : int(ends[last - 1])])
            first = last
            if self.shard["tokens"] >= shard_tokens:
                self.close_shard()

    def _write(self, batch: list[bytes], ids: Any) -> None:
        self.file = self.file or self.partial.open("wb")
        raw = ids.astype("<u2", copy=False).tobytes()
        self.file.write(raw)
        self.tokens.update(raw)
        for text in batch:
            _digest(self.texts, text)
        self.shard["documents"] += len(batch)
        self.shard["tokens"] += len(ids)
        self.shard["text_bytes"] += sum(map(len, batch))

    def close_shard(self) -> None:
        """Give the shard its name, then enter it in the index."""
        if self.file is None:
            return
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        name = f"tokens-{len(self.done):05d}.bin"
        self.partial.replace(self.out / name)
        entry = {
            "file": name,
            **self.shard,
            "sha256": self.tokens.hexdigest(),
            "texts_blake2b": self.texts.hexdigest(),
        }
        lines = (self.out / "index.jsonl").read_text() + json.dumps(entry) + "\n"
        write_whole(self.out / "index.jsonl", lines)
        self.done.append(entry)
        self._open()

    def abandon(self) -> None:
        """Drop what is no whole shard, if anything."""
        if self.file is not None:
            with suppress(OSError):  # what is buffered has no room either
                self.file.close()
        self.partial.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that it is there whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _digest(digest: Any, text: bytes) -> None:
    digest.update(len(text).to_bytes(8, "little"))
    digest.update(text)


def _fresh(out: Path, header: dict[str, Any]) -> list[dict[str, Any]]:
    """Remove an older corpus and write an empty index."""
    for path in (out / "corpus.json", out / "index.jsonl", *out.glob("tokens-*.bin")):
        path.unlink(missing_ok=True)
    write_whole(out / "index.jsonl", json.dumps(header) + "\n")
    return []


def _started(out: Path, header: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the shards that are finished and whole, up to the first that is not; another tokenizer is refused."""
    index = out / "index.jsonl"
    if not index.is_file():
        return _fresh(out, header)
    found, shards = _index(out)
    if "tokenizer_digest" not in found:
        raise ModelError(f"pack: {out} was begun by an older hf-santa. Remove it, or give another folder.")
    if found != header:
        raise ModelError(
            f"pack: {out} was begun with another tokenizer, recipe or shard size ({found}, now {header}). "
            "Give the same ones, or another folder."
        )
    for number, shard in enumerate(shards):
        try:
            check_shard(out, shard)
        except ValueError as error:
            logger.warning("pack: %s That is done now, from this shard on.", error)
            (out / "corpus.json").unlink(missing_ok=True)
            write_whole(index, "".join(json.dumps(line) + "\n" for line in (header, *shards[:number])))
            return shards[:number]
    return shards


def _index(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the header of a corpus, and its finished shards."""
    header, *shards = read_objects(folder / "index.jsonl", {}, AGAIN) or [{}]
    for shard in shards:
        check_fields(folder / "index.jsonl", shard, _SHARD, AGAIN)
        if Path(shard["file"]).name != shard["file"]:
            raise ModelError(f"{folder / 'index.jsonl'}: {shard['file']!r} is no file of the folder. {AGAIN}")
    return header, shards


def _skip(documents: Iterator[str], shard: dict[str, Any], out: Path) -> None:
    """Pass over the documents of a finished shard, and see that they are the same."""
    digest = hashlib.blake2b(digest_size=16)
    for _, text in zip(range(shard["documents"]), documents, strict=False):
        _digest(digest, text.encode())
    if digest.hexdigest() != shard["texts_blake2b"]:
        raise ModelError(
            f"pack: the documents of {out}/{shard['file']} are not those given now. "
            "Give the same source in the same order, or another folder."
        )


def _batches(texts: Iterable[str]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for row, text in enumerate(texts):
        try:
            batch.append(text.encode())
        except UnicodeEncodeError as error:
            raise ModelError(
                f"pack: document {row} holds half of a surrogate pair at character {error.start}, which UTF-8 "
                "cannot express. Remove it, or replace it by U+FFFD."
            ) from error
        size += len(batch[-1])
        if size >= BATCH_BYTES or len(batch) >= 1 << 16:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def check_shard(folder: Path, shard: dict[str, Any]) -> None:
    """Compare a shard's length and checksum with the index.

    Raises:
        ValueError: it is missing, shorter or longer, or its bytes have changed.
    """
    path = folder / shard["file"]
    if not path.is_file():
        raise ModelError(f"{path} is missing; the index lists {shard['tokens']} tokens in it. {AGAIN}")
    found = path.stat().st_size / 2
    if found != shard["tokens"]:
        raise ModelError(f"{path} holds {found:g} tokens, expected {shard['tokens']}. {AGAIN}")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != shard["sha256"]:
        raise ModelError(
            f"{path} is corrupt: its sha256 is {digest[:12]}…, the index has {shard['sha256'][:12]}…. {AGAIN}"
        )


class Tokens:
    """The tokens of all shards as one stream, mapped into memory: length, indexing and slices of step 1.

    A slice is a view where it lies in one shard, else a copy. `np.asarray(tokens)` has all of them.
    """

    dtype = np.dtype("<u2")

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self._maps = [np.memmap(path, dtype=self.dtype, mode="r") for path in paths]
        self._starts = np.cumsum([0, *map(len, self._maps)])

    def check_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Compare the tokenizer with the one that the corpus was packed with.

        Raises:
            ValueError: it is another one, or the corpus does not say.
        """
        folder = self.paths[0].parent
        about = read_object(folder / "corpus.json", {"vocab_size": int}, AGAIN)
        packed, given = about.get("tokenizer_digest"), tokenizer_digest(tokenizer)
        if packed is None:
            raise ModelError(f"{folder} was packed by an older hf-santa, which did not say with what. {AGAIN}")
        if packed != given:
            raise ModelError(
                f"{folder} was packed with the tokenizer {packed[:12]}… of {about['vocab_size']} tokens, and this one is "
                f"{given[:12]}… of {tokenizer.get_vocab_size(with_added_tokens=True)}. Give the tokenizer that it was packed "
                "with, or pack it again."
            )

    def __reduce__(self) -> tuple[type["Tokens"], tuple[list[Path]]]:
        return type(self), (self.paths,)  # a worker process maps the files itself

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, place: Any) -> Any:
        if not isinstance(place, slice):
            at = int(place) + (len(self) if place < 0 else 0)
            if not 0 <= at < len(self):
                raise IndexError(f"token {place} of {len(self)}")
            return self[at : at + 1][0]
        start, stop, step = place.indices(len(self))
        if step != 1:
            return self[min(start, stop + 1) : max(start + 1, stop)][::step] if step < 0 else self[start:stop][::step]
        first, last = (int(np.searchsorted(self._starts, at, side="right")) - 1 for at in (start, max(start, stop - 1)))
        parts = [
            self._maps[shard][max(0, start - int(self._starts[shard])) : max(0, stop - int(self._starts[shard]))]
            for shard in range(first, min(last + 1, len(self._maps)))
        ]
        if len(parts) == 1:
            return parts[0].view(np.ndarray)
        return np.concatenate(parts) if parts else np.zeros(0, dtype=self.dtype)

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return all tokens; a copy where there are several shards."""
        return np.array(self[:], dtype=dtype or self.dtype, copy=copy)


def read_tokens(folder: Path, *, verify: bool = True) -> Tokens:
    """Map a finished corpus into memory, after comparing every shard with its checksum (about 1 GB a second).

    Raises:
        ValueError: the folder is unfinished, or a shard is missing, of another length, or corrupt.
    """
    if not folder.is_dir():
        raise ModelError(f"there is no folder {folder}. Name one that `hf-santa tokenizer pack` wrote.")
    if not (folder / "corpus.json").is_file():
        raise ModelError(f"read_tokens: {folder} has no corpus.json, so it was never finished. {AGAIN}")
    if not (folder / "index.jsonl").is_file():
        raise ModelError(f"read_tokens: {folder} has no index.jsonl (an older hf-santa packed it?). {AGAIN}")
    read_object(folder / "corpus.json", {"documents": int, "shards": int, "vocab_size": int}, AGAIN)
    _, shards = _index(folder)
    if verify:
        for shard in shards:
            check_shard(folder, shard)
    return Tokens([folder / shard["file"] for shard in shards])
