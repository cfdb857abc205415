"""Open folders and repositories as users will, and compare logits, rows and files."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_santa.repositories.clean_process import START_LIMIT_S, open_in_clean_process, open_space, run_lines
from hf_santa.repositories.gguf_check import compared_gguf
from hf_santa.repositories.kinds import KINDS, Kind, ReleaseError, data_files_of, split_card
from hf_santa.repositories.static_space import check_static_space, is_static

RELATIVE_TOLERANCE = 1e-4  # of the largest logit: the native class and ours multiply in another order
ASK_THE_SPACE = """\
from gradio_client import Client

answer = Client("{url}", verbose=False).predict(
    "def add(a, b):\\n    return <FILL_HERE>\\n", 4, api_name="/infill"
)
print(answer["finish_reason"])
"""


def verify(kind: Kind, out: Path, *, start_limit_s: float = START_LIMIT_S) -> str:
    """Open a staged folder in a clean, offline process and compare; return a line about what was seen.

    Raises:
        ReleaseError: something differs.
        StageError: it does not open.
    """
    folder = (out / kind.folder).resolve()
    if kind.name == "model":
        return _same_logits(folder, open_in_clean_process("model", {"name": str(folder)})) + compared_gguf(folder)
    if kind.name == "dataset":
        asked = {"name": str(folder), "configs": checked_configs(folder)}
        return _same_rows(folder, open_in_clean_process("dataset", asked))
    if kind.name == "metric":
        return _scored(folder, open_in_clean_process("metric", {"name": str(folder), "sandbox": _sandbox()}))
    if is_static(folder):
        return check_static_space(folder)
    return _answers(folder, (out / KINDS["model"].folder).resolve(), start_limit_s)


def verify_on_hub(
    kind: Kind, repo_id: str, sha: str, out: Path, files: Mapping[str, str], *, environment: Mapping[str, str]
) -> str:
    """Load a repository from the Hub at its commit, as users will, and compare with the folder it came from.

    `files` are the SHA-256 of all that was published, `environment` says where the Hub is.

    Raises:
        ReleaseError: something differs.
        StageError: it does not open.
    """
    folder = (out / kind.folder).resolve()
    remote = {"name": repo_id, "revision": sha}
    online = {"HF_HUB_OFFLINE": "0", **environment}
    if kind.name == "model":
        seen = open_in_clean_process("model", remote, {"name": str(folder)}, environment=online)
        return _close(repo_id, seen)
    if kind.name == "dataset":
        asked = {**remote, "configs": checked_configs(folder)}
        return _same_rows(folder, open_in_clean_process("dataset", asked, environment=online))
    if kind.name == "metric":
        asked = {**remote, "sandbox": _sandbox()}
        return _scored(folder, open_in_clean_process("metric", asked, environment=online))
    found = open_in_clean_process("space", remote, environment=online)
    different = sorted(path for path, digest in files.items() if found.get(path) != digest)
    if different:
        raise ReleaseError(f"{repo_id}: {different[0]} is not what was published. Publish again.")
    return f"files={len(files)}"


def _close(name: object, seen: Mapping[str, Any]) -> str:
    difference, scale = seen["max_abs_logit_difference"], seen["max_abs_logit"]
    if difference > RELATIVE_TOLERANCE * scale or seen["can_import_hf_santa"]:
        raise ReleaseError(
            f"{name}: the classes that open it give logits that differ by {difference:.3g} (logits up to {scale:.3g}). "
            "Do not publish it."
        )
    classes = " and ".join(each.rsplit(".", 1)[-1] for each in seen["classes"])
    return f"classes={classes} max_abs_logit_difference={difference:.3g}"


def _same_logits(folder: Path, seen: Mapping[str, Any]) -> str:
    """The folder's own code, the native class and the class of this package give the same logits."""
    import torch
    from transformers import AutoTokenizer
    from transformers.utils import logging

    from hf_santa.repositories.clean_load import TEXT
    from modeling_santa.modeling_santa import SantaForCausalLM

    logging.disable_progress_bar()
    ids = AutoTokenizer.from_pretrained(folder)([TEXT], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        ours = SantaForCausalLM.from_pretrained(folder).eval()(ids).logits[0, -1]
    apart = (ours - torch.tensor(seen["last_logits"])).abs().max().item()
    if apart > RELATIVE_TOLERANCE * seen["max_abs_logit"]:
        raise ReleaseError(f"{folder}: its own code gives logits that differ by {apart:.3g} from this package's.")
    return _close(folder, seen)


def checked_configs(folder: Path) -> list[str]:
    """Return the configs that a check loads: each whole recipe, and the first one of a language."""
    header, _ = split_card((folder / "README.md").read_text("utf-8"))
    configs = header["configs"]
    whole = [config["config_name"] for config in configs if data_files_of(config)[0].endswith("/*.parquet")]
    parts = [config["config_name"] for config in configs if config["config_name"] not in whole]
    default = [config["config_name"] for config in configs if config.get("default")]
    return list(dict.fromkeys([*default, *whole, *parts[:1]]))


def _same_rows(folder: Path, seen: Mapping[str, Any]) -> str:
    """Each config gives the rows that pyarrow reads from the config's files."""
    header, _ = split_card((folder / "README.md").read_text("utf-8"))
    for config in header["configs"]:
        name = config["config_name"]
        if name not in seen["rows"]:
            continue
        rows, digest, first = _rows_of(folder, config)
        if (rows, digest) != (seen["rows"][name], seen["sha256"][name]):
            raise ReleaseError(f"{folder}: config {name!r} loads {seen['rows'][name]} rows, the files have {rows}.")
        if name == next(iter(seen["rows"])) and first != seen["streamed"]:
            raise ReleaseError(f"{folder}: config {name!r} streams another first row than it loads.")
    return " ".join(f"{name}={rows}" for name, rows in seen["rows"].items())


def _rows_of(folder: Path, config: Mapping[str, Any]) -> tuple[int, str, str]:
    import pyarrow.parquet as pq

    digest, count, first = hashlib.sha256(), 0, ""
    for path in sorted({path for pattern in data_files_of(config) for path in folder.glob(pattern)}):
        table = pq.read_table(path, columns=["hexsha", "content"])
        for hexsha, content in zip(table["hexsha"], table["content"], strict=True):
            digest.update(f"{hexsha.as_py()}\0{content.as_py()}\0".encode())
            first = first or hexsha.as_py()
        count += table.num_rows
    return count, digest.hexdigest(), first


def _sandbox() -> str:
    from eval_multipl_e.sandbox import available

    return "auto" if available() else "none"


def _scored(folder: Path, seen: Mapping[str, Any]) -> str:
    if seen != {"pass@1": 0.5, "statuses": ["OK", "AssertionError"]}:
        raise ReleaseError(f"{folder}: a right and a wrong completion score {seen}, expected 0.5, OK, AssertionError.")
    return "pass@1=0.5"


def _answers(space: Path, model: Path, start_limit_s: float) -> str:
    if not (model / "config.json").is_file():
        raise ReleaseError(f"{model} is missing, and a Space is tried with its model. Stage the model beside it first.")
    with open_space(space, {"HF_SANTA_MODEL": str(model)}, start_limit_s=start_limit_s) as url:
        reason = run_lines(ASK_THE_SPACE.format(url=url), space, {}).strip()
    return f"api=/infill finish_reason={reason}"


def hub_environment(endpoint: str, token: str) -> dict[str, str]:
    """Return where the Hub is and who asks, for a process of its own; never a part of its command line."""
    kept = {name: os.environ[name] for name in ("HF_HUB_DISABLE_XET",) if name in os.environ}
    return {"HF_ENDPOINT": endpoint, "HF_TOKEN": token, **kept}
