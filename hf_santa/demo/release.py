"""Steps model, card and space: the staged folders, checked as their users will open them."""

import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

from hf_santa.demo.steps import DemoError, write_json
from hf_santa.demo.used_by import SPACE, run_one
from hf_santa.stage import PACKAGES, clean_environment, open_in_clean_process, stage_model, stage_space

START_S = 90.0
READY = re.compile(r"ready url=(\S+)")


def stage_the_model(out: Path, _: dict[str, Any]) -> str:
    """Write `model/` and open it in a process without this package, by both classes; write `parity.json`.

    Raises:
        DemoError: the two classes, or the trained weights and the staged ones, give different logits.
    """
    stage_model(out / "trained", out / "tokenizer", out / "model")
    seen = open_in_clean_process(out / "model")
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
    config = json.loads((out / "model" / "config.json").read_text())
    scores = results["completions"]
    numbers = {
        **{name: config[name] for name in ("n_layer", "n_head", "n_embd", "n_positions", "vocab_size")},
        "parameters": f"{measures['parameters']:,}",
        "tokens": f"{measures['tokens']:,}",
        "fim_rate": measures["fim_rate"],
        "bits_per_byte": f"{measures['bits_per_byte']:.3f}",
        "unigram_bits_per_byte": f"{measures['unigram_bits_per_byte']:.3f}",
        "better_by": f"{1 - measures['bits_per_byte'] / measures['unigram_bits_per_byte']:.0%}",
        "heldout_files": measures["heldout_files"],
        "files": f"{sum(entry['stages'][-1]['files'] for entry in funnel['funnel']):,}",
        "programs": scores["counts"]["all"]["programs"],
        "pass_at_1": f"{scores.get('pass@1', 0.0):.3f}",
        "exact_match": f"{results['infill_exact_match']['all']['value']:.3f}",
        "infill_tasks": results["infill_exact_match"]["all"]["tasks"],
    }
    template = Template((PACKAGES / "modeling_santa" / "card.md").read_text())
    (out / "model" / "README.md").write_text(template.substitute(numbers))
    return f"card=model/README.md pass@1={numbers['pass_at_1']}"


def try_the_space(out: Path, _: dict[str, Any]) -> str:
    """Stage the Space, start it on the staged model, ask its named API, stop it; write `space.json`."""
    stage_space(out / "space")
    with open_space(out, 0) as url:
        output = run_one(SPACE, out, SPACE.code.replace("http://127.0.0.1:7860", url))
    write_json(out / "space.json", {"code": SPACE.code, "output": output})
    return f"api=/infill answered={'yes' if output.strip() else 'no'}"


@contextlib.contextmanager
def open_space(out: Path, port: int) -> Iterator[str]:
    """Run the staged Space on the staged model; give its address, and stop it afterwards.

    Raises:
        DemoError: it does not come up within 90 s; the message has its own words.
    """
    environment = {**clean_environment((out / ".cache").resolve()), "SANTA_MODEL": str((out / "model").resolve())}
    child = subprocess.Popen(
        [sys.executable, "-B", "app.py", "--port", str(port)],
        cwd=out / "space",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    killer = threading.Timer(START_S, child.kill)
    killer.start()
    try:
        said: list[str] = []
        assert child.stdout is not None
        for line in child.stdout:
            said.append(line)
            if found := READY.search(line):
                break
        else:
            raise DemoError(f"space: it did not start within {START_S:.0f} s. It said:\n{''.join(said[-15:])}")
        killer.cancel()
        threading.Thread(target=child.stdout.read, daemon=True).start()  # a full pipe would stop it
        yield found[1]
    finally:
        killer.cancel()
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def serve(out: Path, port: int) -> int:
    """Leave the Space open until Ctrl-C; return the exit code."""
    try:
        with open_space(out, port) as url:
            print(f"Space: {url}  (Ctrl-C stops it)", flush=True)
            threading.Event().wait()
    except DemoError as error:
        print(f"hf-santa demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
    return 0
