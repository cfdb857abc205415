"""Times SantaForCausalLM against transformers' GPTBigCodeForCausalLM: the same random weights, the report's shape.

The variants take turns in one process, token by token; each figure is the median of the rounds, and each ratio is
native / ours. Caches are filled with random numbers, so that a long context costs no prefill.

    python tests/bench/model.py [--dtypes bf16 fp32] [--modes default packed int8 int4 …] [--rounds 7] [--layers 24]

`int8-alone` and `int4-alone` are the modes without the exact weights (`keep_exact=False`). A mode that this CPU's table
of capabilities refuses is named with the reason, and left out.

With `--llama PYTHON`, an interpreter that has llama-cpp-python and gguf, llama.cpp's q8_0 and q4_0 stand in the same
rows of the bfloat16 table; its batch of 8 is read at 128 tokens only.
"""

import argparse
import copy
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import DynamicCache, GPTBigCodeForCausalLM

from modeling_santa import SantaConfig, SantaForCausalLM, optimize_for_cpu
from modeling_santa.cache_santa import CACHE_NAME, GrowingCache
from modeling_santa.capabilities_santa import isa, why_not

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
DECODING = ((1, 128), (1, 1900), (8, 128), (8, 1500))
MODES = ("default", "packed", "int8", "int4", "int8-alone", "int4-alone")


def filled(cache: DynamicCache, config: SantaConfig, batch: int, tokens: int, dtype: torch.dtype) -> DynamicCache:
    """Return the cache with `tokens` random entries a row in every layer."""
    for layer in range(config.n_layer):
        heads = 1 if config.multi_query else config.n_head
        keys, values = torch.randn(2, batch, heads, tokens, config.head_dim, dtype=dtype)
        cache.update(keys, values, layer)
    return cache


def in_turn(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each call, all calls in each round, after one round of warming up.

    A call that returns a float has measured itself. With one thread they are seconds of the processor and the least of
    the rounds, which a busy machine changes little.
    """
    is_alone = torch.get_num_threads() == 1
    clock = time.process_time if is_alone else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            started = clock()
            found = call()
            seconds[name].append(found if isinstance(found, float) else clock() - started)
    return {name: (min if is_alone else statistics.median)(times[1:]) for name, times in seconds.items()}


def read_bandwidth() -> float:
    """Return the bytes a second at which all threads together read 1 GB: the best of five sums."""
    numbers = torch.ones(2**27, dtype=torch.int64)
    return numbers.nbytes / min(_seconds(numbers.sum) for _ in range(5))


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


class Llama:
    """llama.cpp in a process of its own, asked one call at a time."""

    def __init__(self, python: str, layers: int) -> None:
        command = [python, Path(__file__).with_name("llama_cpp_peer.py"), str(layers), str(torch.get_num_threads())]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
        )
        self.answer()

    def answer(self) -> str:
        """Return the peer's next line."""
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the llama.cpp peer ended with {self.process.wait()}. Run llama_cpp_peer.py by itself.")
        return line

    def calls(self, question: str) -> dict[str, Callable[[], float]]:
        """Return a call for each kind of weights that asks the question and returns the peer's own seconds."""

        def ask(kind: str) -> float:
            self.process.stdin.write(f"{kind} {question}\n")
            return float(self.answer())

        return {f"llama.cpp {kind}": lambda kind=kind: ask(kind) for kind in ("q8_0", "q4_0")}


def report(what: str, seconds: dict[str, float]) -> None:
    """Print one row: milliseconds of every variant, and how many times faster than native."""
    native = seconds["native"]
    cells = [f"{name} {value * 1e3:8.1f} ms x{native / value:5.2f}" for name, value in seconds.items()]
    print(f"{what:<24}" + "  ".join(cells), flush=True)


def bench(dtype_name: str, modes: list[str], layers: int, rounds: int, llama: Llama | None) -> None:
    """Print the table of one dtype."""
    dtype = DTYPES[dtype_name]
    torch.manual_seed(0)
    config = SantaConfig(n_layer=layers)
    native = GPTBigCodeForCausalLM(config).to(dtype).eval()
    models = {"native": native}
    for mode in modes:
        with torch.device("meta"):
            models[mode] = SantaForCausalLM(config).to(dtype).eval()
        models[mode].load_state_dict(native.state_dict(), assign=True)
        models[mode].tie_weights()
        if mode != "default":
            kind, _, alone = mode.partition("-")
            if reason := why_not(kind, dtype):
                print(f"{dtype_name} {mode}: refused: {reason}")
                del models[mode]
                continue
            if alone:  # its weights are let go: they must be no one else's
                models[mode] = copy.deepcopy(models[mode])
            optimize_for_cpu(models[mode], kind, keep_exact=not alone)
        print(f"{dtype_name} {mode}: {models[mode].get_memory_footprint() / 1e6:,.0f} MB of weights and buffers")
    prompt = torch.randint(0, config.vocab_size, (1, 512))
    calls = {name: lambda m=m: m(prompt, logits_to_keep=1) for name, m in models.items()}
    calls |= llama.calls("prefill 512") if llama else {}
    report(f"{dtype_name} prefill 512", in_turn(calls, max(5, rounds // 2)))
    for batch, context in DECODING:
        token = torch.randint(0, config.vocab_size, (batch, 1))
        calls = {}
        for name, model in models.items():
            empty = DynamicCache(config=config) if name == "native" else GrowingCache(config)
            cache = filled(empty, config, batch, context, dtype)
            calls[name] = lambda m=model, c={CACHE_NAME: cache}, t=token: m(t, **c, use_cache=True)
        calls |= llama.calls(f"decode {batch} {context}") if llama and batch * context <= 1900 else {}
        before = read_bandwidth()
        seconds = in_turn(calls, rounds)
        report(f"{dtype_name} decode b{batch}@{context}", seconds)
        if "packed" in seconds and batch == 1:
            weights = sum(p.nbytes for n, p in native.named_parameters() if "wpe" not in n)
            probe = max(before, read_bandwidth())
            rate = weights / seconds["packed"]
            print(
                f"{'':<24}packed reads {rate / 1e9:.1f} GB/s, {rate / probe:.0%} of the probe's {probe / 1e9:.1f} GB/s"
            )


def cache_bytes() -> None:
    """Print the bytes of a cache beside the formula, for both kinds of attention."""
    sizes = {}
    for multi_query in (True, False):
        config = SantaConfig(n_layer=24, multi_query=multi_query)
        cache = filled(GrowingCache(config), config, 8, 1500, torch.bfloat16)
        heads = 1 if multi_query else config.n_head
        sizes[multi_query] = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
        formula = 2 * 24 * heads * config.head_dim * 1500 * 8 * 2
        room = sum(layer.key_room.nbytes + layer.value_room.nbytes for layer in cache.layers)
        print(
            f"cache b8@1500 multi_query={multi_query}: {sizes[multi_query]:,} bytes, formula {formula:,}, room {room:,}"
        )
    print(f"multi-head / multi-query: {sizes[False] / sizes[True]:.1f}")


def main() -> int:
    """Run the tables that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--llama", metavar="PYTHON", help="an interpreter with llama-cpp-python and gguf")
    arguments = parser.parse_args()
    cpu = Path("/proc/cpuinfo")
    name = next(
        (line.split(":")[1].strip() for line in cpu.read_text().splitlines() if "model name" in line), "unknown"
    )
    print(f"{name}, {isa()}, {torch.get_num_threads()} threads, torch {torch.__version__}, {arguments.layers} layers")
    with torch.no_grad():
        for dtype_name in arguments.dtypes:
            llama = Llama(arguments.llama, arguments.layers) if arguments.llama and dtype_name == "bf16" else None
            bench(dtype_name, arguments.modes, arguments.layers, arguments.rounds, llama)
            if llama:
                llama.process.kill()
        cache_bytes()
    return 0


if __name__ == "__main__":
    sys.exit(main())
