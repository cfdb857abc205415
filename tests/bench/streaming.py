"""Compares streamed with returned text in many random cases: assistants, stops, cuts, samples, sessions and threads.

    python tests/bench/streaming.py [--cases 10000] [--threads 4]

Prints every case that differs, and what ended the answers; exits with 1 if one differs. The cases are those of
tests/fixtures/stream_cases.py, of which the unit tests run the first few.
"""

import argparse
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import torch
from transformers import AutoTokenizer
from transformers.utils import logging

from modeling_santa import SantaForCausalLM
from modeling_santa.tokenizer.train import save_tokenizer, train_tokenizer

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.fixtures.stream_cases import PIECES, case, failures  # the project's root is on the path now
from tests.fixtures.tiny import tiny_config  # as above

CHUNK = 100


def small_model() -> tuple[SantaForCausalLM, object]:
    """Return a model of two layers with random weights, and its tokenizer."""
    trained = train_tokenizer([piece * 20 for piece in PIECES], vocab_size=400)
    with tempfile.TemporaryDirectory() as folder:
        save_tokenizer(trained, Path(folder), n_positions=128)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    config = tiny_config(trained, initializer_range=0.2)
    torch.manual_seed(0)
    return SantaForCausalLM(config).eval(), tokenizer


def main() -> int:
    """Run the cases that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=4)
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    model, tokenizer = small_model()
    started, wrong, kinds = time.perf_counter(), 0, Counter()
    for start in range(0, arguments.cases, CHUNK):
        numbers = range(start, min(start + CHUNK, arguments.cases))
        for number, differing in failures(model, tokenizer, numbers, threads=arguments.threads).items():
            wrong += 1
            print(f"case {number}: {case(number)}: {differing}", flush=True)
        for number in numbers:
            drawn = case(number)
            kinds["assisted"] += drawn["is_assisted"]
            kinds["with a stop"] += bool(drawn["stop"])
            kinds["longer than the context"] += max(len(drawn["prefix"]), len(drawn["suffix"])) > 600
            kinds["sampled"] += drawn["temperature"] > 0
        if start % 1000 == 0:
            print(f"{numbers[-1] + 1} cases, {wrong} differ, {time.perf_counter() - started:.0f} s", flush=True)
    print(f"{arguments.cases} cases, {wrong} differ; {dict(kinds)}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
