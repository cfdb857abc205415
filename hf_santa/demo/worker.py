"""Run one step of the demo in its own process: `python -P -m hf_santa.demo.worker STEP OUT SETTINGS`.

The step's summary goes to `OUT/.steps/STEP.summary`; what it prints is for the person who watches.
"""

import errno
import importlib
import json
import os
import sys
from pathlib import Path

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
RUNS = {
    "rows": "steps_data:write_the_rows",
    "recipe": "steps_data:run_the_recipe",
    "tokenizer": "steps_training:train_the_tokenizer",
    "corpus": "steps_training:pack_the_corpus",
    "train": "steps_training:train_the_model",
    "model": "steps_release:stage_the_model",
    "complete": "steps_scoring:complete_the_problems",
    "score": "steps_scoring:score_the_completions",
    "card": "steps_release:write_the_card",
    "space": "steps_release:try_the_space",
    "used-by": "used_by:run_the_lines",
}


def main(step: str, out: str, settings: str) -> int:
    """Run the step; exit 1 with the reason on standard error where it cannot be done."""
    return run_named_step("hf-santa demo", f"hf_santa.demo.{RUNS[step]}", step, out, settings)


def run_named_step(command: str, function: str, step: str, out: str, settings: str) -> int:
    """Run a function, `module:name`, as a step of a command; it gets the folder and the settings, and gives a summary."""
    module, name = function.split(":")
    try:
        summary = getattr(importlib.import_module(module), name)(Path(out), json.loads(settings))
        Path(out, ".steps", f"{step}.summary").write_text(summary)
    except Exception as error:
        if (reason := reason_for(error)) is None:
            raise
        print(f"{command}: step {step} cannot be done: {reason}", file=sys.stderr)
        return 1
    return 0


def reason_for(error: BaseException) -> str | None:
    """Return what to tell the user, or None for a fault of ours, which deserves its traceback.

    Libraries wrap a full disk in errors of their own, so the whole chain of causes is searched for it.
    """
    link: BaseException | None = error
    while link is not None:
        if getattr(link, "errno", None) in DISK_ERRORS or any(os.strerror(code) in str(link) for code in DISK_ERRORS):
            return (
                str(link)
                if "run again" in str(link)
                else f"{link}. Free space, or choose another --out, and run again: it goes on from there."
            )
        link = link.__cause__ or link.__context__
    return str(error) if isinstance(error, OSError | RuntimeError | ValueError) else None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
