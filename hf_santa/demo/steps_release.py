"""Steps `model`, `card` and `space`: write the folders, and open each as its users will."""

import json
import threading
from pathlib import Path
from typing import Any

from hf_santa.demo.steps import DemoError
from hf_santa.demo.used_by import SPACE, run_one
from hf_santa.files import write_json
from hf_santa.repositories.clean_process import open_in_clean_process, open_space
from hf_santa.repositories.model_card import write_model_card
from hf_santa.repositories.write import stage_model, stage_space


def stage_the_model(out: Path, _: dict[str, Any]) -> str:
    """Write `model/` and open it in a process without this package, by both classes; write `parity.json`.

    Raises:
        DemoError: the two classes, or the trained weights and the staged ones, give different logits.
    """
    stage_model(out / "trained", out / "tokenizer", out / "model")
    seen = open_in_clean_process("model", {"name": str((out / "model").resolve())})
    difference, scale = seen["max_abs_logit_difference"], seen["max_abs_logit"]
    if difference > 1e-4 * scale or seen["can_import_hf_santa"]:
        raise DemoError(f"model: the staged folder does not pass its check: {json.dumps(seen)}.")
    write_json(out / "parity.json", seen)
    classes = " and ".join(name.rsplit(".", 1)[-1] for name in seen["classes"])
    return f"classes={classes} max_abs_logit_difference={difference:.3g} (logits up to {scale:.3g})"


def write_the_card(out: Path, _: dict[str, Any]) -> str:
    """Write `model/README.md`; every number comes from the funnel, the measures and the results."""
    measures = json.loads((out / "trained" / "measures.json").read_text())
    results = json.loads((out / "results.json").read_text())
    funnel = json.loads((out / "dataset" / "funnel.json").read_text())
    write_model_card(out / "model", measures=measures, funnel=funnel, demo=results)
    return f"card=model/README.md pass@1={results['completions'].get('pass@1', 0.0):.3f}"


def try_the_space(out: Path, _: dict[str, Any]) -> str:
    """Stage the Space, start it on the staged model, ask its named API, stop it; write `space.json`."""
    stage_space(out / "space")
    with open_space(out / "space", {"HF_SANTA_MODEL": str((out / "model").resolve())}) as url:
        output = run_one(SPACE, out, SPACE.code.replace("http://127.0.0.1:7860", url))
    write_json(out / "space.json", {"code": SPACE.code, "output": output})
    return f"api=/infill answered={'yes' if output.strip() else 'no'}"


def serve(out: Path, port: int) -> None:
    """Leave the Space open until Ctrl-C.

    Raises:
        StageError: it does not start, because the port is taken for example.
    """
    with open_space(out / "space", {"HF_SANTA_MODEL": str((out / "model").resolve())}, port) as url:
        print(f"Space: {url}  (Ctrl-C stops it)", flush=True)
        threading.Event().wait()
