"""Runs one step of the demo in a process of its own: `python -P -m hf_santa.demo.worker STEP OUT SETTINGS`.

The step's summary goes to the file descriptor's end of the pipe as one line of JSON; everything else that it prints
is for the person who watches.
"""

import importlib
import json
import os
import signal
import sys
from pathlib import Path

RUNS = {
    "rows": "data:write_the_rows",
    "recipe": "data:run_the_recipe",
    "tokenizer": "training:train_the_tokenizer",
    "corpus": "training:pack_the_corpus",
    "train": "training:train_the_model",
    "model": "release:stage_the_model",
    "complete": "scoring:complete_the_problems",
    "score": "scoring:score_the_completions",
    "card": "release:write_the_card",
    "space": "release:try_the_space",
    "used-by": "used_by:run_the_lines",
}


def main(step: str, out: str, settings: str) -> int:
    """Run the step; exit 1 with the reason on standard error where it cannot be done."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a step at once; the next run repeats it
    module, function = RUNS[step].split(":")
    try:
        summary = getattr(importlib.import_module(f"hf_santa.demo.{module}"), function)(Path(out), json.loads(settings))
    except (OSError, RuntimeError, ValueError) as error:
        if "HF_SANTA_TRACEBACK" in os.environ:
            raise
        print(f"hf-santa demo: step {step} cannot be done: {_said(error)}", file=sys.stderr)
        return 1
    Path(out, ".steps", f"{step}.summary").write_text(summary)
    return 0


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename or 'the output folder'}. Free space or choose another --out, then run again."
    return str(error)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
