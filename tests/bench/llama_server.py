"""Runs a real llama-server on an exported GGUF file: its /infill beside ours.

Three figures: how many texts of ten contexts on either side get an answer that is not empty, and how many of the others the
model itself answers with its end, given what the server's rule keeps of the text; how many greedy middles are the text that
`model.infill` writes, for each type of file; and, over keystrokes with `cache_prompt`, the milliseconds the server reports
for the prompt as a share of those without its cache.

    python tests/bench/llama_server.py SERVER FOLDER [--types f32 q8_0] [--gaps 100] [--far 20] [--keys 60]

SERVER is `tests/bench/llama_server_wheel.py`, which runs the server inside the wheel of xllamacpp (`pip install --no-deps
xllamacpp numpy` into the environment that runs it), or a program built from llama-cpp-python's source distribution, in
about an hour of two busy cores:

    pip download --no-deps --no-binary :all: llama-cpp-python==0.3.36
    tar xf llama_cpp_python-0.3.36.tar.gz
    cmake -G Ninja -S llama_cpp_python-0.3.36/vendor/llama.cpp -B build -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF
        -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF
    ninja -C build llama-server        # build/bin/llama-server is the SERVER
"""

import argparse
import random
import statistics
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from hf_santa.repositories.gguf_check import ask_infill, llama_server
from modeling_santa.editor_config import Budget, budget_of
from modeling_santa.encode_santa import encode_text
from modeling_santa.fim_santa import FimParts, end_ids_of, ids_of_sentinels
from modeling_santa.gguf_export import export_gguf
from modeling_santa.modeling_santa import SantaForCausalLM

ANSWER = 64


def ends_at_once(
    model: SantaForCausalLM, tokenizer: PreTrainedTokenizerFast, budget: Budget, prefix: str, suffix: str
) -> bool:
    """Return whether the model writes nothing, given the tokens that `/infill` keeps: see `longest_infill`."""
    before, after = (encode_text(tokenizer, side)[:] for side in (prefix, suffix))
    quarter = budget.batch // 4
    sentinels = ids_of_sentinels(tokenizer)
    kept = {"before": before[-3 * quarter :], "after": after[: quarter - 2]}
    ids = []
    for token, side in FimParts("psm", "before", "", "after").segments():
        ids += [sentinels[token], *kept.get(side, [])]
    with torch.no_grad():
        return int(model(torch.tensor([ids])).logits[0, -1].argmax()) in end_ids_of(tokenizer)


def gaps(count: int, near: int) -> Iterator[tuple[str, str]]:
    """Yield texts of the standard library around a gap, `near` characters before it at most, and a third behind it.

    A token has a character or more, so the server, which keeps a quarter of its batch for what follows, cuts nothing of it.
    """
    draw, folder = random.Random(1), Path(sysconfig.get_path("stdlib"))
    texts = [path.read_text(encoding="utf-8", errors="ignore") for path in sorted(folder.glob("*.py"))]
    texts = [text for text in texts if len(text) > max(1000, near)]
    for _ in range(count):
        text = draw.choice(texts)
        at = draw.randrange(200, len(text) - 200)
        size = draw.randrange(1, 60)
        yield text[max(0, at - near) : at], text[at + size : at + size + near // 3]


def keystroke_shares(port: int, keys: int) -> list[float]:
    """Return the prompt's milliseconds with the cache as a share of those without, for each character typed."""
    (prefix, suffix), shares = next(gaps(1, 600)), []
    for size in range(len(prefix) - keys, len(prefix)):
        with_cache, without = (
            ask_infill(port, prefix[:size], suffix, n_predict=1, cache_prompt=is_kept)["timings"]["prompt_ms"]
            for is_kept in (True, False)
        )
        ask_infill(port, prefix[:size], suffix, n_predict=1, cache_prompt=True)  # what was read without is not kept
        shares.append(with_cache / without)
    return shares[1:]


def main() -> int:
    """Run the server on every type of file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("server", metavar="SERVER")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a model folder, as of `hf-santa demo`")
    parser.add_argument("--types", nargs="+", default=["f32", "q8_0"])
    parser.add_argument("--gaps", type=int, default=100)
    parser.add_argument("--far", type=int, default=20, help="texts of ten contexts (default: 20)")
    parser.add_argument("--keys", type=int, default=60)
    arguments = parser.parse_args()
    model = SantaForCausalLM.from_pretrained(arguments.folder).float().eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(arguments.folder)
    context = model.config.n_positions
    near = list(gaps(arguments.gaps, context // 2))
    ours = [model.infill(tokenizer, *gap, max_new_tokens=ANSWER, allow_truncated=True) for gap in near]
    far = list(gaps(arguments.far, 40 * context))
    budget = budget_of(arguments.folder, ANSWER)
    at_once = [ends_at_once(model, tokenizer, budget, *gap) for gap in far]
    for kind in arguments.types:
        with tempfile.TemporaryDirectory() as place:
            file = Path(place, "model.gguf")
            export_gguf(arguments.folder, file, type=kind)
            with llama_server(arguments.server, arguments.folder, file, max_new_tokens=ANSWER) as port:
                answers = [bool(ask_infill(port, *gap, n_predict=ANSWER)["content"]) for gap in far]
                theirs = [ask_infill(port, *gap, n_predict=ANSWER)["content"] for gap in near]
                shares = keystroke_shares(port, arguments.keys)
        equal = sum(a == b for a, b in zip(ours, theirs, strict=True))
        high = statistics.quantiles(shares, n=20)[-1]
        unanswered = [ends for ends, is_answered in zip(at_once, answers, strict=True) if not is_answered]
        print(
            f"{kind}: {sum(answers)} of {len(far)} texts of ten contexts answered, {sum(unanswered)} of the others ended by "
            f"the model at once; {equal} of {len(near)} middles equal"
        )
        print(f"{kind}: keystrokes, with its cache: median {statistics.median(shares):.1%}, 95th percentile {high:.1%}")
        for found, expected in [pair for pair in zip(theirs, ours, strict=True) if pair[0] != pair[1]][:3]:
            print(f"  {found[:60]!r} in place of {str(expected)[:60]!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
