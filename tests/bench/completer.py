"""Times a completion session over recorded edits against a fresh call for each of them.

Files of the standard library of about 300, 900 and 1,800 tokens are edited: 20 places are visited in a drawn order, ten
characters are typed at each (200 keystrokes), and five times a line behind the cursor changes. Every time the text must be
that of a fresh call. Figures: time to the first token as a share of a fresh call's, with random weights; beside them the
floor, a bare forward pass of one token with the whole prompt cached, as a share of the same fresh calls.

    OMP_NUM_THREADS=1 python tests/bench/completer.py [--layers 24] [--width 512] [--optimize packed] [--sizes 300 900]
        [--places 20] [--llama PYTHON]

With one thread the times are seconds of the processor, which other programs change little.

With `--llama PYTHON`, an interpreter that has llama-cpp-python and gguf, llama.cpp reads what its server's /infill would
with cache_prompt: prefix before suffix, the sides cut to 1,536 and 510 tokens, and what the last prompt shares kept, in the
same shape, with q8_0 weights; a share is of llama.cpp's own fresh prompt. The server itself: llama_server.py.
"""

import argparse
import random
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import AutoTokenizer

from modeling_santa import SantaConfig, SantaForCausalLM
from modeling_santa.encode_santa import encode_text
from modeling_santa.stream_santa import CachedPrompt, read, stream
from modeling_santa.tokenizer.train import padded_vocab_size, save_tokenizer, train_tokenizer

SIZES = (300, 900, 1800)
PLACES, TYPED, BEHIND = 20, 10, 5
CONTEXT = 2048
ANSWER = {"max_new_tokens": 4}
LLAMA_PREFIX, LLAMA_SUFFIX = 1536, 510  # 3/4 and 1/4 of the server's batch of 2,048, less two


def sources() -> list[str]:
    """Return the texts of the standard library's top folder."""
    folder = Path(sysconfig.get_path("stdlib"))
    return [path.read_text(encoding="utf-8", errors="ignore") for path in sorted(folder.glob("*.py"))]


def edits(text: str, count: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, prefix, suffix): a jump to each of the places, what is typed there, and changes behind the cursor."""
    draw = random.Random(seed)
    places = draw.sample(range(0, len(text) - TYPED, len(text) // (PLACES + 1)), PLACES)[:count]
    changes = set(draw.sample(range(count), count * BEHIND // PLACES))
    for number, at in enumerate(places):
        typed, before, after = text[at : at + TYPED], text[:at], text[at + TYPED :]
        yield "jump", before, after
        for size in range(1, TYPED + 1):
            yield "key", before + typed[:size], after
            if number in changes and size == TYPED // 2:
                lines = after.split("\n")
                lines[min(1, len(lines) - 1)] += "  # changed"
                after = "\n".join(lines)
                yield "behind", before + typed[:size], after
        text = before + typed + after


def first_and_text(pieces: Iterator[object]) -> tuple[float, str]:
    """Return the seconds to the first piece, and the whole text."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    started = clock()
    first = next(pieces)
    return clock() - started, first.text + "".join(piece.text for piece in pieces)


class LlamaInfill:
    """llama.cpp in a process of its own, asked how long it takes to read a prompt of which a part is cached."""

    def __init__(self, python: str, layers: int, width: int, vocabulary: int) -> None:
        command = [python, Path(__file__).with_name("llama_cpp_peer.py"), str(layers), str(torch.get_num_threads())]
        self.process = subprocess.Popen(
            [*command, str(width), str(vocabulary)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )
        self.process.stdout.readline()
        self.held, self.whole = CachedPrompt(cache=self), 0.0

    def seconds(self, before: list[int], after: list[int], *, has_jumped: bool) -> tuple[float, float]:
        """Return the seconds of reading with the cache, and of reading all, which is measured at every jump."""
        ids = [-1, *before[-LLAMA_PREFIX:], -2, *after[:LLAMA_SUFFIX], -3]
        shared = self.held.shared_with(ids)
        self.held.ids = ids
        taken = self._ask(shared, len(ids))
        self.whole = self._ask(0, len(ids)) if has_jumped else self.whole
        return taken, self.whole

    def _ask(self, kept: int, tokens: int) -> float:
        self.process.stdin.write(f"q8_0 reuse {kept} {tokens}\n")
        return float(self.process.stdout.readline())


def replay(
    model: SantaForCausalLM, tokenizer: object, text: str, places: int, llama: LlamaInfill | None
) -> dict[str, list[float]]:
    """Return the shares of a fresh call's time by kind of edit, and how many texts differed."""
    session, shares = model.completer(tokenizer), {"key": [], "jump": [], "behind": [], "llama": [], "differ": []}
    fresh_settings = {"mode": "spm", "step": CONTEXT // 8, **ANSWER}
    for kind, prefix, suffix in edits(text, places, seed=len(text)):
        fresh, expected = first_and_text(stream(model, tokenizer, prefix, suffix, **fresh_settings))
        taken, found = first_and_text(session.stream(prefix, suffix, **ANSWER))
        shares[kind].append(taken / fresh)
        if found != expected:
            shares["differ"].append(1.0)
        if llama:
            sides = (encode_text(tokenizer, side) for side in (prefix, suffix))
            cached, whole = llama.seconds(*sides, has_jumped=kind == "jump")
            if kind == "key":
                shares["llama"].append(cached / whole)
    return shares


def floor_share(model: SantaForCausalLM, ids: list[int]) -> float:
    """Return the time of one token after a cached prompt as a share of reading all: medians of seven in turn."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    held = CachedPrompt()
    read(model, ids, held)
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    for _ in range(7):
        for is_cached in (True, False):
            started = clock()
            read(model, ids, held if is_cached else CachedPrompt())
            taken[is_cached].append(clock() - started)
    return statistics.median(taken[True]) / statistics.median(taken[False])


def told(shares: list[float]) -> str:
    """Return median and 95th percentile in words."""
    if not shares:
        return "-"
    high = statistics.quantiles(shares, n=20)[-1] if len(shares) > 1 else shares[0]
    return f"median {statistics.median(shares):6.1%}, 95th percentile {high:6.1%} of {len(shares)}"


def main() -> int:
    """Replay the edits on every file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--optimize", choices=("off", "packed", "int8", "int4"), default="off")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="TOKENS")
    parser.add_argument(
        "--places", type=int, default=PLACES, help="of the 20 places, how many are visited (default: 20)"
    )
    parser.add_argument("--llama", metavar="PYTHON", help="an interpreter with llama-cpp-python and gguf")
    arguments = parser.parse_args()
    texts = sources()
    trained = train_tokenizer(texts[:60], vocab_size=4096)
    with tempfile.TemporaryDirectory() as folder:
        save_tokenizer(trained, Path(folder), n_positions=CONTEXT)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    end = trained.token_to_id("<|endoftext|>")
    torch.manual_seed(0)
    size = padded_vocab_size(trained)
    config = SantaConfig(
        vocab_size=size, n_embd=arguments.width, n_layer=arguments.layers, bos_token_id=end, eos_token_id=end
    )
    model = SantaForCausalLM(config).eval().optimize_for_cpu(arguments.optimize)
    llama = LlamaInfill(arguments.llama, arguments.layers, arguments.width, size) if arguments.llama else None
    print(
        f"{arguments.layers} layers, {arguments.width} wide, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    whole: dict[str, list[float]] = {}
    for tokens in arguments.sizes:
        text = tokenizer.decode(encode_text(tokenizer, max(texts, key=len))[:tokens])
        shares = replay(model, tokenizer, text, arguments.places, llama)
        for kind, found in shares.items():
            whole.setdefault(kind, []).extend(found)
        floor = floor_share(model, encode_text(tokenizer, text)[:])
        print(f"{tokens:5} tokens: keystrokes {told(shares['key'])}; floor {floor:.1%}; {len(shares['differ'])} differ")
        print(f"      llama.cpp {told(shares['llama'])}", flush=True)
    for kind in ("key", "jump", "behind", "llama"):
        print(f"{kind:7} {told(whole[kind])}")
    print(f"all     {told(whole['key'] + whole['jump'] + whole['behind'])}")
    print(f"{len(whole['differ'])} of {sum(len(whole[kind]) for kind in ('key', 'jump', 'behind'))} texts differ")
    return int(bool(whole["differ"]))


if __name__ == "__main__":
    sys.exit(main())
