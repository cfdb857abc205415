"""Step `deliver`: what an editor needs of the trained model, tried where a server is there."""

import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_santa.files import read_json, write_json
from hf_santa.tune.bases import FimBase, open_base
from hf_santa.tune.holding import read_lines
from hf_santa.tune.measuring import surroundings

if TYPE_CHECKING:
    from modeling_santa.gguf_export import GgufType

ANSWER_TOKENS = 48


def deliver_the_model(out: Path, settings: dict[str, Any]) -> str:
    """Write `gguf/`, `editors/` and `serve.json`: the line that serves the model, and whether it was tried here."""
    base = open_base(out / "model")
    gguf, why_not = _gguf(base, out, settings["gguf_type"])
    editors = _editor_settings(base, out / "editors") if gguf is not None else []
    tried = _try_server(base, out, gguf, settings["server"])
    line = _line(base, out, gguf)
    about = {"gguf": gguf and gguf.name, "why_no_gguf": why_not, "editors": editors, "line": line, "tried": tried}
    write_json(out / "serve.json", about)
    written = gguf.name if gguf is not None else "none"
    return f"gguf={written} editors={len(editors)} server={'tried' if tried['answers'] else tried['why_not']}"


def _gguf(base: FimBase, out: Path, kind: "GgufType") -> tuple[Path | None, str | None]:
    """Return the GGUF file that was written, or why none was."""
    if base.kind != "gpt_bigcode":
        return None, (
            f"models of type {base.kind!r} are converted by llama.cpp's own convert_hf_to_gguf.py, which reads model/ as it is"
        )
    if find_spec("gguf") is None:
        return None, "the package gguf is not installed: pip install 'hf-santa[gguf]'"
    from modeling_santa.errors_santa import ModelError
    from modeling_santa.gguf_export import export_gguf

    choices: list[GgufType] = [kind] if kind == "f16" else [kind, "f16"]
    for name in choices:  # a narrow model's rows do not fill the blocks of q8_0 and q4_k
        path = out / "gguf" / f"model-{name}.gguf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        try:
            export_gguf(base.folder, path, type=name)
        except ModelError as error:
            why = str(error)
            continue
        return path, None
    return None, why


def _editor_settings(base: FimBase, folder: Path) -> list[str]:
    """Write the settings of every editor's plug-in that is known; return the names of the files."""
    from modeling_santa.editor_config import CLIENTS, editor_config

    endings = {"llama.vim": "vim", "continue": "yaml", "tabby": "toml", "llama-server": "sh"}
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for client in CLIENTS:
        path = folder / f"{client}.{endings.get(client, 'json')}"
        path.write_text(editor_config(base.folder, client, max_new_tokens=_answer_tokens(base)), encoding="utf-8")
        names.append(path.name)
    return names


def _answer_tokens(base: FimBase) -> int:
    return max(1, min(ANSWER_TOKENS, base.context // 4))


def _line(base: FimBase, out: Path, gguf: Path | None) -> str:
    """Return the line of a shell that serves the model."""
    if gguf is not None:
        from modeling_santa.editor_config import editor_config

        words = shlex.split(editor_config(base.folder, "llama-server", max_new_tokens=_answer_tokens(base)))
        words[words.index("-m") + 1] = str(gguf)
        return shlex.join(words)
    return shlex.join(["vllm", "serve", str(out / "model"), "--host", "127.0.0.1", "--port", "8012"])


def _try_server(base: FimBase, out: Path, gguf: Path | None, program: str | None) -> dict[str, Any]:
    """Start the server on a free port, send what an editor sends, and stop it; say why where that can't be done."""
    if gguf is None:
        return {"answers": 0, "why_not": "no GGUF file"}
    if not program:
        return {"answers": 0, "why_not": "no llama-server on PATH or in HF_SANTA_LLAMA_SERVER"}
    from hf_santa.repositories.gguf_check import ask_infill, llama_server

    gaps = [gap for gap in read_lines(out / "heldout" / "gaps.jsonl") if gap["kind"] != "block"][:3]
    seq_len = read_json(out / "plan.json", {"seq_len": int})["seq_len"]
    with llama_server(program, base.folder, gguf, max_new_tokens=_answer_tokens(base)) as port:
        said = [str(ask_infill(port, *surroundings(gap, seq_len), n_predict=ANSWER_TOKENS)["content"]) for gap in gaps]
    return {"answers": len(said), "why_not": None, "first": said[0] if said else ""}
