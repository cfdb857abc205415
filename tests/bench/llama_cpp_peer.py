"""Answers tests/bench/model.py's questions with llama.cpp: the same shape, random weights, q8_0 and q4_0.

Runs in an environment of its own (`pip install llama-cpp-python gguf`) and needs nothing of this project. Reads lines
`KIND prefill TOKENS`, `KIND decode BATCH CONTEXT`, or `KIND reuse KEPT TOKENS` (read a prompt of which the start is cached);
writes the seconds of one such call.

    python tests/bench/llama_cpp_peer.py LAYERS THREADS [WIDTH VOCABULARY]
"""

import sys
import tempfile
import time
from pathlib import Path

WIDTH, HEADS, VOCABULARY, POSITIONS = 2048, 16, 49280, 2048
KINDS = ("q8_0", "q4_0")


def write_model(path, layers, width, vocabulary):
    """Write a SantaCoder of random half-precision weights as GGUF, architecture `starcoder`, without a vocabulary."""
    import gguf
    import numpy as np

    draw = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "starcoder")
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(4 * width)
    writer.add_block_count(layers)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_eps(1e-5)
    writer.add_tokenizer_model("none")
    writer.add_vocab_size(vocabulary)

    def matrix(name, *shape):
        writer.add_tensor(f"{name}.weight", (draw.standard_normal(shape, dtype=np.float32) * 0.02).astype(np.float16))

    def vectors(name, size, *, is_norm=False):
        if is_norm:
            writer.add_tensor(f"{name}.weight", np.ones(size, dtype=np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(size, dtype=np.float32))

    matrix("token_embd", vocabulary, width)
    matrix("position_embd", POSITIONS, width)
    vectors("output_norm", width, is_norm=True)
    for layer in range(layers):
        block = f"blk.{layer}"
        vectors(f"{block}.attn_norm", width, is_norm=True)
        vectors(f"{block}.ffn_norm", width, is_norm=True)
        for name, rows, columns in (
            ("attn_qkv", width + 2 * (width // HEADS), width),
            ("attn_output", width, width),
            ("ffn_up", 4 * width, width),
            ("ffn_down", width, 4 * width),
        ):
            matrix(f"{block}.{name}", rows, columns)
            vectors(f"{block}.{name}", rows)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Peer:
    """One quantised model and its context."""

    def __init__(self, path, threads, vocabulary):
        import llama_cpp

        self.lib, self.vocabulary = llama_cpp, vocabulary
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_ubatch, settings.n_seq_max = 4096, 512, 512, 8
        settings.n_threads = settings.n_threads_batch = threads
        settings.kv_unified = True
        self.context = llama_cpp.llama_init_from_model(self.model, settings)
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.batch = llama_cpp.llama_batch_init(512, 0, 1)
        self.filled = None

    def decode(self, entries):
        """Run (sequence, position) pairs as one batch; the last of each sequence gets logits."""
        for at, (sequence, position) in enumerate(entries):
            self.batch.token[at], self.batch.pos[at] = (7 * at + position) % self.vocabulary, position
            self.batch.n_seq_id[at], self.batch.seq_id[at][0] = 1, sequence
            self.batch.logits[at] = at + 1 == len(entries) or entries[at + 1][0] != sequence
        self.batch.n_tokens = len(entries)
        if self.lib.llama_decode(self.context, self.batch):
            raise RuntimeError("llama_decode failed")

    def fill(self, batch, tokens):
        """Read `tokens` tokens into each of `batch` sequences, unless they are there."""
        if self.filled == (batch, tokens):
            return
        self.lib.llama_memory_clear(self.memory, True)
        for sequence in range(batch):
            for start in range(0, tokens, 512):
                self.decode([(sequence, position) for position in range(start, min(tokens, start + 512))])
        self.filled = (batch, tokens)

    def reuse(self, kept, tokens):
        """Read a prompt of `tokens` tokens, all but the `kept` ones at its start, and return seconds of the processor."""
        self.lib.llama_memory_seq_rm(self.memory, 0, kept, -1)
        self.filled = None
        started = time.process_time()
        for start in range(kept, tokens, 512):
            self.decode([(0, position) for position in range(start, min(tokens, start + 512))])
        self.lib.llama_synchronize(self.context)
        return time.process_time() - started

    def seconds(self, what, *numbers):
        """Time one prefill or one step of decoding."""
        if what == "reuse":
            return self.reuse(*numbers)
        if what == "prefill":
            self.lib.llama_memory_clear(self.memory, True)
            self.filled = None
            entries = [(0, position) for position in range(numbers[0])]
        else:
            batch, context = numbers
            self.fill(batch, context)
            entries = [(sequence, context) for sequence in range(batch)]
        started = time.perf_counter()
        self.decode(entries)
        taken = time.perf_counter() - started
        if what == "decode":
            for sequence in range(batch):
                self.lib.llama_memory_seq_rm(self.memory, sequence, context, -1)
        return taken


def main():
    """Make the models, say so, and answer until the input ends."""
    import llama_cpp

    layers, threads, width, vocabulary = map(int, (*sys.argv[1:], WIDTH, VOCABULARY)[:4])
    with tempfile.TemporaryDirectory() as folder:
        write_model(f"{folder}/f16.gguf", layers, width, vocabulary)
        peers = {}
        for kind, file_type in zip(KINDS, (7, 2), strict=True):
            settings = llama_cpp.llama_model_quantize_default_params()
            settings.ftype, settings.nthread = file_type, threads
            path = Path(folder, f"{kind}.gguf")
            if llama_cpp.llama_model_quantize(f"{folder}/f16.gguf".encode(), str(path).encode(), settings):
                raise RuntimeError(f"llama_model_quantize to {kind} failed")
            peers[kind] = Peer(path, threads, vocabulary)
        print("ready", flush=True)
        for line in sys.stdin:
            kind, what, *numbers = line.split()
            print(peers[kind].seconds(what, *map(int, numbers)), flush=True)


if __name__ == "__main__":
    main()
