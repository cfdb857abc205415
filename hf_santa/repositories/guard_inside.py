"""Look for secrets and personal data inside a repository's binary and large files."""

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_recipes.pii.find import find_pii

if TYPE_CHECKING:
    import pyarrow as pa

HOME = re.compile(r"(?:(?<![\w.:/])|(?<=file://))(?:/(?:home|Users)/[A-Za-z_][\w.-]*/|/root/|[A-Z]:\\Users\\)")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")  # signs that no one sees, and that would part a secret
_ABSOLUTE = re.compile(r"/[\w.-]+(/[\w.-]+)+/?")
_ROWS_AT_ONCE = 256
_MAX_HEADER = 100_000_000  # the limit of safetensors' own reader
_SHORTEST_SECRET = 16
_GGUF_WORDS = {"tokenizer.ggml.tokens", "tokenizer.ggml.merges"}
_INDEX_HEADER = 512  # bytes; the format is described in data_recipes/store/training_index.py
TEXT_COLUMN = "content"


def in_text(text: str) -> Iterator[str]:
    """Yield why a text may not be published: secrets by line, and the first path of one machine."""
    text = _UNSEEN.sub("", text)
    for finding in find_pii(text, ("KEY",))[:3]:
        yield f"line {_line(text, finding.start)} holds a secret (rule {finding.rule})"
    if found := HOME.search(text):
        yield f"line {_line(text, found.start())} holds a path of one machine"


def in_name(name: str) -> str | None:
    """Say what the name of a file holds that must not be seen; None for a good one."""
    what = _found(name.replace("/", "\n"))
    return f"its name holds {what}" if what else None


def in_json(text: str) -> Iterator[str]:
    """Yield whether a value of a JSON text is a path from the root of this machine, or the text is no JSON."""
    try:
        queue: list[Any] = [json.loads(text)]
    except json.JSONDecodeError as error:
        yield f"it is not JSON (line {error.lineno})"
        return
    while queue:
        value = queue.pop()
        if isinstance(value, dict | list):
            queue += value.values() if isinstance(value, dict) else value
        elif isinstance(value, str) and _ABSOLUTE.fullmatch(value):
            yield "a value is an absolute path. Write it relative to the repository"
            return


def in_tokenizer(text: str) -> Iterator[str]:
    """Yield what a tokenizer.json holds outside of its words, and in words long enough for a secret."""
    try:
        found = json.loads(text)
        model = found.pop("model") if isinstance(found, dict) else {}
        words: dict[str, int] = model.pop("vocab", {})
        model.pop("merges", None)
        long_words = [word for word in words if len(word) >= _SHORTEST_SECRET]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        yield f"it is no tokenizer ({type(error).__name__})"
        return
    # One value a line, so that a rule never sees two values as one.
    around = json.dumps([found, model], indent=0, ensure_ascii=False)
    if any(in_text(around)) or any(in_json(around)):
        yield "an added token or a setting holds a secret or a path of one machine"
    if any(in_text("\n".join(long_words))):
        yield "a word of its vocabulary holds a secret or a path of one machine"


def in_safetensors(path: Path) -> Iterator[str]:
    """Yield what the header of a safetensors file holds, and whether bytes stand where no tensor is."""
    size = path.stat().st_size
    with path.open("rb") as opened:
        start = opened.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER, size):
            yield "it is no safetensors file: its header has no possible length"
            return
        raw = opened.read(length)
    try:
        text = raw.decode("utf-8")
        header = json.loads(text)
        spans = sorted(entry["data_offsets"] for name, entry in header.items() if name != "__metadata__")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        yield f"its header is not that of a safetensors file ({type(error).__name__})"
        return
    told = json.dumps(header, indent=0, ensure_ascii=False)
    if any(in_text(told)) or any(in_json(told)):
        yield "its header holds a secret or a path of one machine"
    end = 0
    for begin, stop in spans:
        if begin != end or stop < begin:
            yield f"bytes from {end} on belong to no tensor"
            return
        end = stop
    if end + 8 + length != size:
        yield f"it has {size} bytes, and its tensors end at {end + 8 + length}"


def in_gguf(path: Path) -> Iterator[str]:
    """Yield what the fields of a GGUF file hold; its words are those of the tokenizer."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        fields = {name: field.contents() for name, field in reader.fields.items()}
        spans = sorted((int(each.data_offset), int(each.data_offset + each.n_bytes)) for each in reader.tensors)
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        yield f"it is no GGUF file ({type(error).__name__})"
        return
    texts = [
        text
        for pair in fields.items()
        for text in _strings(list(pair))
        if pair[0] not in _GGUF_WORDS or len(text) >= _SHORTEST_SECRET
    ]
    if any(in_text("\n".join(texts))):
        yield "a field holds a secret or a path of one machine"
    end = int(reader.data_offset)
    for begin, stop in [*spans, (len(reader.data), 0)]:
        between = reader.data[end:begin]
        if len(between) >= reader.alignment or between.any():
            yield f"bytes from {end} on belong to no tensor"
            return
        end = stop


def in_index(path: Path) -> Iterator[str]:
    """Yield what the header of a `training.index` holds, and whether the file is longer than it says."""
    size = path.stat().st_size
    with path.open("rb") as opened:
        raw = opened.read(_INDEX_HEADER)
    try:
        text = raw.decode("ascii")
        expected = _INDEX_HEADER + 4 * ((1 << 16) + 1 + int(json.loads(text)["passages"]))
    except (ValueError, KeyError, TypeError) as error:
        yield f"it is no index of training data ({type(error).__name__})"
        return
    if any(in_text(text)):
        yield "its header holds a secret or a path of one machine"
    if size != expected:
        yield f"it has {size} bytes, and its passages end at {expected}"


def in_rows(path: Path) -> Iterator[str]:
    """Yield the first personal data of a parquet file's texts, the first secret of every other column, and of its schema.

    The column `content` holds files, which may speak of homes and have been redacted of everything else. Every other
    column, nested ones too, is looked through for secrets, e-mail addresses and paths of one machine.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path)
    except pa.ArrowException as error:
        yield f"it is no parquet file ({(str(error).splitlines() or [type(error).__name__])[0][:80]})"
        return
    if any(in_text(_words_of_schema(table))):
        yield "its schema holds a secret or a path of one machine"
    number, seen = 0, set[str]()
    for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name in seen:
                continue
            refusal = _in_files(column, number) if name == TEXT_COLUMN else _in_column(name, column, number)
            if refusal:
                seen.add(name)
                yield refusal
        number += batch.num_rows


def _words_of_schema(table: Any) -> str:
    schema = table.schema_arrow
    metadata = [*(schema.metadata or {}).items()]
    for field in schema:
        metadata += [(field.name.encode(), b""), *(field.metadata or {}).items()]
    # Arrow's own copy of the schema is base64, and what it says is said by the fields.
    texts = [part.decode("utf-8", "replace") for pair in metadata if pair[0] != b"ARROW:schema" for part in pair]
    return "\n".join([*texts, str(schema)])


def _in_files(column: "pa.Array", first: int) -> str | None:
    for at, value in enumerate(column):
        text = value.as_py()
        if not isinstance(text, str):
            continue
        finding = next(iter(find_pii(text)), None)
        if finding:
            return f"row {first + at} holds personal data ({finding.type}, rule {finding.rule}). Run the recipe again"
    return None


def _in_column(name: str, column: "pa.Array", first: int) -> str | None:
    import pyarrow as pa

    if not _holds_text(column.type):
        return None
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    # All at once first, for most batches are clean; then row by row, to say where.
    told = [" ".join(_strings(value)) for value in column.to_pylist()]
    if not _found(json.dumps(told, indent=0, ensure_ascii=False)):
        return None
    for at, text in enumerate(told):
        if what := _found(text):
            return f"row {first + at}, column {name!r}, holds {what}"
    return None


def _found(text: str) -> str | None:
    finding = next(iter(find_pii(text, ("EMAIL_ADDRESS", "KEY"))), None)
    if finding:
        return f"personal data ({finding.type}, rule {finding.rule})"
    return "a path of one machine" if HOME.search(text) else None


def _holds_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    inner = (
        [kind.value_type] if pa.types.is_dictionary(kind) else [kind.field(at).type for at in range(kind.num_fields)]
    )
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    is_bytes = pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind)
    return is_text or is_bytes or pa.types.is_large_binary(kind) or any(map(_holds_text, inner))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
