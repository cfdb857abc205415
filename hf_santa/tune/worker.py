"""Run one step of `hf-santa tune` in its own process: `python -P -m hf_santa.tune.worker STEP OUT SETTINGS`."""

import sys

from hf_santa.demo.worker import run_named_step

FUNCTIONS = {
    "sources": "holding:read_states",
    "heldout": "holding:hold_out",
    "plan": "training:choose_the_plan",
    "before": "measuring:measure_the_base",
    "baselines": "measuring:measure_the_baselines",
    "train": "training:train_the_base",
    "after": "measuring:measure_the_model",
    "deliver": "delivery:deliver_the_model",
}


def main(step: str, out: str, settings: str) -> int:
    """Run the step; exit 1 with the reason on standard error where it cannot be done."""
    return run_named_step("hf-santa tune", f"hf_santa.tune.{FUNCTIONS[step]}", step, out, settings)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
