"""Define the commands `hf-santa model`: info, convert, export-gguf, editor-config, complete, infill."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import modeling_santa.training.nanotron.cli
from modeling_santa import cli_tokenizer
from modeling_santa.errors_santa import ModelError

MARKERS = ("<FILL_HERE>", "<FILL-HERE>")


def add_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `model` and its commands, and `train`, to the command line."""
    parser = subparsers.add_parser("model", help="look at, convert and try a SantaCoder model")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    info = commands.add_parser("info", help="show layout, size and memory of a model folder")
    info.add_argument("folder", type=Path, metavar="FOLDER", help="a saved model of any family")
    info.add_argument(
        "--json", action="store_true", help="print the result as JSON, and nothing else on standard output"
    )
    info.set_defaults(func=_info)
    convert = commands.add_parser(
        "convert", help="write a model in the canonical layout, the original one or nanotron's"
    )
    convert.add_argument(
        "src",
        type=Path,
        metavar="MODEL",
        help="a saved model in any published layout, or the checkpoints of `hf-santa train`",
    )
    convert.add_argument("out", type=Path, metavar="OUT", help="the folder to write; it must not exist")
    convert.add_argument(
        "--layout",
        choices=("canonical", "original", "nanotron"),
        default="canonical",
        help="the layout to write (default: canonical)",
    )
    convert.add_argument(
        "--json", action="store_true", help="print the result as JSON, and nothing else on standard output"
    )
    convert.set_defaults(func=_convert)
    export = commands.add_parser(
        "export-gguf",
        help="write a model as one GGUF file for llama.cpp, editors and browsers",
        epilog="example: hf-santa model export-gguf out/demo/model santa.gguf --type q8_0",
    )
    export.add_argument("folder", type=Path, metavar="FOLDER", help="a saved model, in any published layout")
    export.add_argument("out", type=Path, metavar="OUT", help="the file to write; it must not exist")
    export.add_argument(
        "--type",
        choices=("f32", "f16", "q8_0", "q4_k"),
        default="f16",
        help="how weights are stored: 4, 2, about 1.1 or about 0.6 bytes each (default: f16)",
    )
    export.add_argument("--json", action="store_true", help="print the result as JSON, and nothing else")
    export.set_defaults(func=_export_gguf)
    editor = commands.add_parser(
        "editor-config",
        help="print an editor's settings that leave this model room for its answer",
        epilog="example: hf-santa model editor-config out/demo/model --client llama.vscode",
    )
    editor.add_argument("folder", type=Path, metavar="FOLDER", help="a saved model, whose context is shared out")
    editor.add_argument(
        "--client",
        choices=("llama-server", "llama.vscode", "llama.vim", "continue", "twinny", "tabby"),
        required=True,
        help="which program reads them; llama-server gives the command that serves all of the others",
    )
    editor.add_argument("--max-new-tokens", type=int, default=64, metavar="N", help="longest answer (default: 64)")
    editor.set_defaults(func=_editor_config)
    complete = commands.add_parser("complete", help="continue a text, and print it as it is written")
    complete.add_argument("model", metavar="MODEL", help="a model folder, or a repository on the Hub")
    complete.add_argument(
        "prompt", metavar="PROMPT", nargs="?", default="-", help="the text, or - for standard input (default)"
    )
    _add_sampling(complete)
    complete.set_defaults(func=_complete)
    infill = commands.add_parser("infill", help="fill the gap in a text, and print the middle alone as it is written")
    infill.add_argument("model", metavar="MODEL", help="a model folder, or a repository on the Hub")
    infill.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        default="-",
        help=f"a file with {MARKERS[0]} where the gap is, or - for standard input (default)",
    )
    _add_sampling(infill)
    infill.set_defaults(func=_infill)
    cli_tokenizer.add_commands(subparsers)
    modeling_santa.training.nanotron.cli.add_commands(subparsers)


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-new-tokens", type=int, default=128, metavar="N", help="longest answer (default: 128)")
    parser.add_argument(
        "--temperature", type=float, default=0.0, help="0 takes the likeliest token (default); more draws more freely"
    )
    parser.add_argument(
        "--top-p", type=float, default=0.95, help="share of the likeliest tokens drawn from (default: 0.95)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of sampling (default: 0)")
    parser.add_argument(
        "--file-name", metavar="NAME", help="the file's path, for a StarCoder model, which was trained with it"
    )
    parser.add_argument("--repo-name", metavar="NAME", help="the repository's name, likewise")
    parser.add_argument(
        "--heal",
        action="store_true",
        help="have the model write the last word before the gap anew: for words cut in two",
    )
    parser.add_argument(
        "--optimize",
        choices=("off", "packed", "int8", "int4"),
        default="off",
        help="weights for a CPU: packed in its own order, or rounded to int8 or int4; what would be slower here is refused "
        "(default: off)",
    )


def _info(arguments: argparse.Namespace) -> int:
    from modeling_santa.checkpoints import layout_of, read_checkpoint
    from modeling_santa.other_models import is_of_another_family

    if is_of_another_family(arguments.folder):
        return _info_of_family(arguments)
    state, config, _ = read_checkpoint(arguments.folder)
    first = next(iter(state.values()))
    heads = 1 if config.multi_query else config.n_head
    cache = 2 * config.n_layer * heads * config.head_dim * first.element_size()
    if arguments.json:
        shape = {name: getattr(config, name) for name in ("n_layer", "n_embd", "n_head", "n_positions", "vocab_size")}
        facts = {
            "layout": layout_of(arguments.folder).split(" ", 1)[0],
            "multi_query": config.multi_query,
            **shape,
            "parameters": sum(value.numel() for value in state.values()),
            "bytes": sum(value.nbytes for value in state.values()),
            "dtype": str(first.dtype).removeprefix("torch."),
            "tensors": len(state),
            "cache_bytes_per_token": cache,
        }
        print(json.dumps(facts))
        return 0
    print(f"layout      {layout_of(arguments.folder)}")
    print(
        f"attention   {'multi-query' if config.multi_query else 'multi-head'}, {config.n_head} heads of {config.head_dim}"
    )
    print(f"shape       {config.n_layer} layers, {config.n_embd} wide, context {config.n_positions}")
    print(f"vocabulary  {config.vocab_size}")
    print(f"parameters  {sum(value.numel() for value in state.values()):,}")
    print(f"weights     {sum(value.nbytes for value in state.values()) / 1e9:.3f} GB, {first.dtype}")
    print(f"tensors     {len(state)}, all there and finite")
    print(f"cache       {cache:,} bytes a token, {cache * config.n_positions / 1e6:.1f} MB at full context")
    return 0


def _info_of_family(arguments: argparse.Namespace) -> int:
    """Print what is known of a model that this project tunes and measures, but neither converts nor packs."""
    from modeling_santa.other_models import facts_of_family

    facts = facts_of_family(arguments.folder)
    if arguments.json:
        print(json.dumps(facts))
        return 0
    print(f"type        {facts['model_type']} ({', '.join(facts['architectures']) or 'unnamed'})")
    print(f"shape       {facts['layers']} layers, {facts['width']} wide, context {facts['context']}")
    print(f"vocabulary  {facts['vocabulary']}")
    print(f"parameters  {facts['parameters']:,}")
    print(f"weights     {facts['bytes'] / 1e9:.3f} GB, {', '.join(facts['dtypes'])}")
    print(f"tensors     {facts['tensors']}")
    print(f"use         hf-santa tune SOURCE --base {arguments.folder} --out OUT; hf-santa eval complete")
    return 0


def _convert(arguments: argparse.Namespace) -> int:
    from modeling_santa.checkpoints import convert_checkpoint

    out = convert_checkpoint(arguments.src, arguments.out, layout=arguments.layout)
    if arguments.json:
        print(json.dumps({"out": str(out), "layout": arguments.layout}))
    else:
        print(f"{out}: {arguments.layout} layout")
    return 0


def _export_gguf(arguments: argparse.Namespace) -> int:
    from modeling_santa.gguf_export import export_gguf

    done = export_gguf(arguments.folder, arguments.out, type=arguments.type)
    if arguments.json:
        print(json.dumps({**dataclasses.asdict(done), "path": str(done.path)}))
        return 0
    types = ", ".join(f"{count} tensors {name}" for name, count in done.tensors.items())
    print(
        f"{done.path}: {done.size / 1e6:.1f} MB, {types}{'' if done.can_infill else '; no FIM tokens, so no infilling'}"
    )
    return 0


def _editor_config(arguments: argparse.Namespace) -> int:
    from modeling_santa.editor_config import editor_config

    print(editor_config(arguments.folder, arguments.client, max_new_tokens=arguments.max_new_tokens), end="")
    return 0


def _complete(arguments: argparse.Namespace) -> int:
    _check_sampling(arguments)
    prompt = _text_of("-") if arguments.prompt == "-" else arguments.prompt
    if not prompt:
        raise ModelError("the prompt is empty. Give some text, as an argument or on standard input.")
    _write(arguments, prompt, None)
    return 0


def _infill(arguments: argparse.Namespace) -> int:
    _check_sampling(arguments)
    text = _text_of(arguments.file)
    found = [marker for marker in MARKERS for _ in range(text.count(marker))]
    if len(found) != 1:
        raise ModelError(f"{len(found)} gap markers found, expected one. Put {MARKERS[0]} where the gap is.")
    prefix, suffix = text.split(found[0])
    if _write(arguments, prefix, suffix) == "length":
        print(f"hf-santa model infill: cut at --max-new-tokens {arguments.max_new_tokens}", file=sys.stderr)
    return 0


def _check_sampling(arguments: argparse.Namespace) -> None:
    """Refuse settings out of range before a model is opened."""
    from modeling_santa.stream_santa import check_settings

    check_settings(max_new_tokens=arguments.max_new_tokens, temperature=arguments.temperature, top_p=arguments.top_p)


def _write(arguments: argparse.Namespace, prefix: str, suffix: str | None) -> str | None:
    """Print an answer as it is written; return why it ended."""
    model, tokenizer = _open(arguments)
    finish = None
    for piece in model.stream(
        tokenizer,
        prefix,
        suffix,
        max_new_tokens=arguments.max_new_tokens,
        temperature=arguments.temperature,
        top_p=arguments.top_p,
        seed=arguments.seed,
        file_name=arguments.file_name,
        repo_name=arguments.repo_name,
        heal=arguments.heal,
    ):
        print(piece.text, end="", flush=True)
        finish = piece.finish
    print()
    if piece.left_out:
        print(
            f"hf-santa model: {piece.left_out} tokens of the text, those farthest from the gap, did not fit into the "
            f"context of {model.config.n_positions}",
            file=sys.stderr,
        )
    return finish


def _text_of(file: str) -> str:
    """Return the text of a file, or of standard input for "-", without a byte order mark."""
    data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = "standard input" if file == "-" else file
        raise ModelError(
            f"{where} is not UTF-8 text ({error.reason} at byte {error.start}). Convert it first."
        ) from error


def _open(arguments: argparse.Namespace) -> tuple[Any, Any]:
    if "/" not in arguments.model and not Path(arguments.model).is_dir():  # no repository has such a name
        raise ModelError(f"{arguments.model!r} is no folder here. Check the path, or give a repository as OWNER/NAME.")
    try:
        return _opened(arguments)
    except OSError as error:
        if Path(arguments.model).is_dir():
            raise ModelError(
                f"{arguments.model} can't be opened as a model: {(str(error).splitlines() or [type(error).__name__])[0]}"
            ) from error
        raise ModelError(
            f"{arguments.model!r} is no folder here, and no model of this name could be read from the Hub. "
            "Check the path, or give a repository as OWNER/NAME and see that the Hub can be reached."
        ) from error


def _opened(arguments: argparse.Namespace) -> tuple[Any, Any]:
    import torch
    from transformers import AutoTokenizer, PreTrainedTokenizerFast
    from transformers.utils import cached_file, logging

    from modeling_santa.modeling_santa import SantaForCausalLM

    logging.disable_progress_bar()
    model = SantaForCausalLM.from_pretrained(arguments.model)
    if torch.cuda.is_available():
        model = model.to("cuda")
    elif model.dtype == torch.float16:
        model = model.float()  # exact; a CPU computes float16 many times slower
    # An old tokenizer_config.json names GPT-2's class, which splits blanks before digits otherwise than tokenizer.json.
    has_rules = cached_file(arguments.model, "tokenizer.json", _raise_exceptions_for_missing_entries=False) is not None
    try:
        tokenizer = (PreTrainedTokenizerFast if has_rules else AutoTokenizer).from_pretrained(arguments.model)
    except ValueError as error:
        raise ModelError(
            f"{arguments.model} has no tokenizer that can be opened. Copy tokenizer.json and "
            "tokenizer_config.json of the model that it was made from into it."
        ) from error
    return model.optimize_for_cpu(arguments.optimize), tokenizer
