"""Open a repository, a folder or one on the Hub, in a process that cannot import this project.

Run as a script: `python -I clean_load.py KIND SOURCE…`, a source being JSON: the folder or repository
`name`, its `revision` or null, and for a dataset its `configs`. It prints one line of JSON: what it saw.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

OURS = ("modeling_santa", "data_recipes", "eval_multipl_e", "hf_santa")
TEXT = "def add(a, b):\n    return a + b\n" * 4


class Absent:
    """Makes an import of this project fail, as it does on a machine without it."""

    def find_spec(self, name: str, path: object = None, _target: object = None) -> None:
        """Refuse our packages and know nothing of others."""
        if path is None and name in OURS:
            raise ModuleNotFoundError(f"No module named {name!r}: this process stands for a machine without it.")


def model(*sources: dict[str, Any]) -> dict[str, Any]:
    """Open each source with remote code and the first one with the native class, too; compare all logits."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    answers = []
    for is_native, source in [(False, each) for each in sources] + [(True, sources[0])]:
        name, pinned = source["name"], {"revision": source["revision"]} if source["revision"] else {}
        code = {} if is_native else {"trust_remote_code": True}
        if code and pinned:
            code["code_revision"] = source["revision"]
        opened = AutoModelForCausalLM.from_pretrained(name, **pinned, **code, use_safetensors=True).eval()
        ids = AutoTokenizer.from_pretrained(name, **pinned)([TEXT], return_tensors="pt")["input_ids"]
        ids = ids[:, : opened.config.n_positions]
        with torch.no_grad():
            answers.append((type(opened), opened(ids).logits))
    first = answers[0][1]
    return {
        "classes": [f"{kind.__module__}.{kind.__qualname__}" for kind, _ in (answers[0], answers[-1])],
        "max_abs_logit_difference": max((first - logits).abs().max().item() for _, logits in answers),
        "max_abs_logit": first.abs().max().item(),
        "tokens": first.shape[1],
        "logits_sha256": hashlib.sha256(first.contiguous().numpy().tobytes()).hexdigest(),
        "last_logits": first[0, -1].tolist(),
        "can_import_hf_santa": _can_import("hf_santa"),
    }


def dataset(source: dict[str, Any]) -> dict[str, Any]:
    """Load each config; give its number of rows and a digest of names and contents, and the first streamed row."""
    from datasets import load_dataset

    rows, digests = {}, {}
    for config in source["configs"]:
        found = load_dataset(source["name"], config, split="train", revision=source["revision"])
        digest = hashlib.sha256()
        for row in found.select_columns(["hexsha", "content"]):
            digest.update(f"{row['hexsha']}\0{row['content']}\0".encode())
        rows[config], digests[config] = found.num_rows, digest.hexdigest()
    default = source["configs"][0]
    stream = load_dataset(source["name"], default, split="train", revision=source["revision"], streaming=True)
    return {"rows": rows, "sha256": digests, "streamed": next(iter(stream))["hexsha"]}


def metric(source: dict[str, Any]) -> dict[str, Any]:
    """Score one right and one wrong completion."""
    os.environ["HF_ALLOW_CODE_EVAL"] = "1"
    import evaluate

    scores = evaluate.load(source["name"], **({"revision": source["revision"]} if source["revision"] else {})).compute(
        predictions=[["    return a + b\n", "    return a - b\n"]],
        references=["assert add(2, 3) == 5\n"],
        prompts=["def add(a, b):\n"],
        languages=["py"],
        k=(1,),
        sandbox=source["sandbox"],
    )
    return {"pass@1": scores["pass@1"], "statuses": [row["status"] for row in scores["results"]]}


def space(source: dict[str, Any]) -> dict[str, Any]:
    """Download the Space; give the SHA-256 of each file."""
    from pathlib import Path

    from huggingface_hub import snapshot_download

    folder = Path(snapshot_download(source["name"], repo_type="space", revision=source["revision"]))
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _can_import(name: str) -> bool:
    try:
        __import__(name)
    except ModuleNotFoundError:
        return False
    return True


if __name__ == "__main__":
    sys.meta_path.insert(0, Absent())
    openers: dict[str, Callable[..., Any]] = {"model": model, "dataset": dataset, "metric": metric, "space": space}
    print(json.dumps(openers[sys.argv[1]](*map(json.loads, sys.argv[2:]))), flush=True)
    os._exit(0)  # a stream that was not read to its end leaves threads that abort an orderly exit
