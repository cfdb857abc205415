"""The Space's second shape: a static page on which llama.cpp, as WebAssembly, runs the model in the visitor's browser."""

import base64
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from hf_santa.files import write_json
from hf_santa.repositories.write import StageError, fresh_folder, move_into_place, space_source
from modeling_santa.gguf_export import GgufType, export_gguf

ENGINE = "@wllama/wllama@3.13.0"
ENGINE_SHA512 = "ZvoRdQAn+E+18EvQ9qS036gudiI9rbZRBJgG/qNICPPwrA0Y6SMMdbziz/j7K/0WxcbJlhaRraVIYsnEy732NA=="
ENGINE_FILES = {"wllama.js": "package/esm/index.min.js", "wllama.wasm": "package/esm/wasm/wllama.wasm"}
MAX_BYTES = 2_000_000_000  # what a browser holds in one piece


def stage_static_space(model: Path, out: Path, *, type: GgufType = "q8_0", engine: Path | None = None) -> None:  # noqa: A002 - the flag's name
    """Write the static Space: page, engine and the model as one GGUF file.

    Args:
        model: A staged model folder.
        out: The folder to write.
        type: How the file holds the weights.
        engine: The npm package's archive; None fetches the pinned one by `npm pack`.

    Raises:
        StageError: the engine can't be had or is not the pinned one, or the model is too large for a browser.
        ModelError: the model can't be exported.
    """
    partial = fresh_folder(out)
    for source in sorted((space_source().parent / "santa_static").iterdir()):
        if source.is_file():
            shutil.copyfile(source, partial / source.name)
    write_engine(engine, partial)
    done = export_gguf(model, partial / "model.gguf", type=type)
    if done.size > MAX_BYTES:
        raise StageError(
            f"space: the model's file has {done.size / 1e9:.1f} GB, and a browser takes 2. Choose --gguf q4_k."
        )
    if not done.can_infill:
        raise StageError(f"space: the tokenizer of {model} has no fill-in-the-middle tokens, and the page fills gaps.")
    context = json.loads((model / "config.json").read_text("utf-8"))["n_positions"]
    about = {"name": _title(model), "context": context, "type": type, "megabytes": round(done.size / 1e6, 1)}
    write_json(partial / "page.json", {**about, "engine": ENGINE})
    move_into_place(partial, out)


def write_engine(archive: Path | None, folder: Path) -> None:
    """Write the engine's two files from the npm package's archive, after a look at its digest.

    Raises:
        StageError: there is no npm, the package can't be fetched, or it is not the pinned one.
    """
    with tempfile.TemporaryDirectory() as scratch:
        data = (archive or _fetched(Path(scratch))).read_bytes()
    digest = base64.b64encode(hashlib.sha512(data).digest()).decode()
    if digest != ENGINE_SHA512:
        raise StageError(
            f"space: {archive or ENGINE} has another SHA-512 than the pinned release. Nothing was written."
        )
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        for name, member in ENGINE_FILES.items():
            found = opened.extractfile(member)
            assert found is not None
            (folder / name).write_bytes(found.read())


def check_static_space(folder: Path) -> str:
    """Check that a staged static Space is whole: its page's files are there, and the model's file opens.

    Raises:
        StageError: something is missing or damaged.
    """
    from gguf import GGUFReader

    needed = ["index.html", "page.js", "style.css", "page.json", "model.gguf", *ENGINE_FILES]
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise StageError(f"space: {folder} lacks {', '.join(missing)}. Stage it again.")
    try:
        tensors = len(GGUFReader(folder / "model.gguf").tensors)
    except (ValueError, IndexError, KeyError) as error:
        raise StageError(f"space: {folder / 'model.gguf'} does not open ({error}). Stage it again.") from error
    return f"static tensors={tensors}"


def is_static(folder: Path) -> bool:
    """Return whether a staged Space is the static one."""
    return (folder / "page.json").is_file()


def _fetched(folder: Path) -> Path:
    if shutil.which("npm") is None:
        raise StageError(f"space: npm is not installed, and it fetches the page's engine ({ENGINE}). Install Node.js.")
    done = subprocess.run(
        ["npm", "pack", "--silent", ENGINE], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    found = next(folder.glob("*.tgz"), None)
    if done.returncode or found is None:
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        raise StageError(f"space: npm could not fetch {ENGINE} ({reason}). Check the connection and stage again.")
    return found


def _title(model: Path) -> str:
    card = model / "README.md"
    lines = card.read_text("utf-8").splitlines() if card.is_file() else []
    return next((line[2:] for line in lines if line.startswith("# ")), model.resolve().name)
