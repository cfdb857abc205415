"""Write complete repository folders, with the files that are published and no others.

Each kind has an allow-list; a file that is not on it never gets into a staged folder.
"""

import ast
import json
import shutil
import sys
import sysconfig
from pathlib import Path

from hf_santa.errors import HfSantaError
from hf_santa.files import read_json
from hf_santa.repositories.kinds import with_header
from modeling_santa.own_code import CONFIGS, own_code

PACKAGES = Path(__file__).resolve().parents[2]
MODEL_CODE = tuple(sorted(path.name for path in (PACKAGES / "modeling_santa").glob("*_santa.py")))
METRIC_LEFT_OUT = ("__init__.py", "cli.py", "py.typed")
HUB_IMPORTS = {"torch", "transformers"}


class StageError(HfSantaError, RuntimeError):
    """A repository folder cannot be staged or does not pass its check; the message says why."""


def stage_model(trained: Path, tokenizer: Path, out: Path) -> None:
    """Write a model repository: weights, config, remote code, tokenizer and generation settings.

    Code files of one's own, which an `auto_map` of the config or the tokenizer names, come with it.

    `trained` is what SantaForCausalLM.save_pretrained wrote, `tokenizer` what save_tokenizer wrote.

    Raises:
        StageError: a needed file is missing, or a code file imports what the Hub does not have.
    """
    check_weights(trained)
    partial = fresh_folder(out)
    weights = [path.name for path in sorted(trained.glob("model*.safetensors*"))]
    for name in ("config.json", *weights):
        _copy(trained / name, partial / name)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        _copy(tokenizer / name, partial / name)
    for name in MODEL_CODE:
        _copy(PACKAGES / "modeling_santa" / name, partial / name)
        check_hub_imports(partial / name)
    for folder, config_name in zip((trained, tokenizer), CONFIGS, strict=True):
        for name in own_code(folder, configs=(config_name,)):
            _copy(folder / name, partial / name)
    config = read_json(
        partial / "config.json",
        {f"{token}_token_id": int | None for token in ("bos", "eos", "pad")},
        "Save the model again.",
    )
    generation = {
        "bos_token_id": config["bos_token_id"],
        "eos_token_id": config["eos_token_id"],
        "pad_token_id": config["pad_token_id"],
        "do_sample": True,
        "temperature": 0.2,
        "top_p": 0.95,
    }
    (partial / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    move_into_place(partial, out)


def check_weights(folder: Path) -> None:
    """Check that a folder holds a model in safetensors.

    Raises:
        StageError: it is missing, or holds pickles alone.
    """
    if not folder.is_dir():
        raise StageError(f"{folder} is not a folder. Name the folder that save_pretrained wrote.")
    if any(folder.glob("model*.safetensors")):
        return
    pickles = sorted(path.name for suffix in ("bin", "pt", "pth", "ckpt", "pkl") for path in folder.glob(f"*.{suffix}"))
    seen = f"{pickles[0]}, a pickle, whose loading runs code" if pickles else "no weights"
    raise StageError(
        f"{folder} holds {seen}; expected model.safetensors. An original checkpoint is converted by "
        "`hf-santa model convert`, another one by loading and saving it where you trust it."
    )


def stage_dataset(dataset: Path, out: Path) -> None:
    """Write a dataset repository: the store's data, funnel, rejects, pictures, and its card, made from the funnel.

    Raises:
        StageError: the folder is no store that `hf-santa data run` finished.
        StoreError: its funnel.json is damaged, or of another version.
    """
    from data_recipes.card.card import render_card
    from data_recipes.store.reading import read_funnel

    if not (dataset / "funnel.json").is_file() or not (dataset / ".done.json").is_file():
        raise StageError(f"{dataset} is no finished store (funnel.json, .done.json). Run `hf-santa data run`.")
    funnel = read_funnel(dataset)
    partial = fresh_folder(out)
    _copy(dataset / "funnel.json", partial / "funnel.json")
    for pattern in ("data/*/*.parquet", "rejects/*.parquet", "images/*.svg"):
        for source in sorted(dataset.glob(pattern)):
            target = partial / source.relative_to(dataset)
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(source, target)
    if not any(partial.glob("data/*/*.parquet")):
        raise StageError(f"{dataset}/data holds no parquet file. Run `hf-santa data run` again.")
    (partial / "README.md").write_text(render_card(funnel, repository="dataset"))
    move_into_place(partial, out)


def stage_metric(out: Path) -> None:
    """Write the metric Space: the folder `eval_multipl_e` without its command line and package file."""
    partial = fresh_folder(out)
    for source in sorted((PACKAGES / "eval_multipl_e").iterdir()):
        if source.is_file() and source.name not in METRIC_LEFT_OUT:
            _copy(source, partial / source.name)
    move_into_place(partial, out)


def stage_space(out: Path, hardware: str | None = None) -> None:
    """Write the demo Space; its card suggests the machine `hardware` to whoever duplicates it."""
    partial = fresh_folder(out)
    for source in sorted(space_source().iterdir()):
        if source.is_file():
            _copy(source, partial / source.name)
    if hardware:
        card = partial / "README.md"
        card.write_text(with_header(card.read_text("utf-8"), {"suggested_hardware": hardware}), "utf-8")
    move_into_place(partial, out)


def space_source() -> Path:
    """Return where the Space's files lie: in the repository, or where an installed wheel put its data."""
    installed = Path(sysconfig.get_path("data")) / "share" / "hf-santa"
    for root in (PACKAGES, installed):
        place = root / "spaces" / "santa_demo"
        if (place / "app.py").is_file():
            return place
    raise StageError(f"no spaces/santa_demo/app.py in {PACKAGES} or {installed}. Reinstall hf-santa.")


def check_hub_imports(path: Path) -> None:
    """Check that a code file imports only what a machine without this project has.

    Raises:
        StageError: names the file, the module and the line.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = ["." * node.level + (node.module or "")]
        else:
            continue
        for module in modules:
            root = module.split(".", maxsplit=1)[0]
            is_sibling = module.startswith(".") and module[1:].endswith("_santa") and "." not in module[1:]
            if not (is_sibling or root in HUB_IMPORTS or root in sys.stdlib_module_names):
                raise StageError(
                    f"{path.name} imports {module!r} (line {node.lineno}). Files uploaded to the Hub may "
                    "import only stdlib, torch, transformers and ./*_santa.py."
                )


def fresh_folder(out: Path) -> Path:
    """Return an empty folder beside `out`, which `move_into_place` puts there."""
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise StageError(f"{source} does not exist, but {target.name} is part of the repository. Make it first.")
    shutil.copyfile(source, target)


def move_into_place(partial: Path, out: Path) -> None:
    """Put a folder in the place of another."""
    shutil.rmtree(out, ignore_errors=True)
    partial.replace(out)
