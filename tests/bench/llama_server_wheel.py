#!/usr/bin/env python3
"""Stands in for the program `llama-server`: llama.cpp's own server, run inside the wheel of xllamacpp on the flags it is given.

Needs `pip install --no-deps xllamacpp numpy` where it runs, in an environment of its own or in the project's:

    HF_SANTA_LLAMA_SERVER=tests/bench/llama_server_wheel.py hf-santa stage model --gguf f32 …

Knows the flags that `hf-santa model editor-config --client llama-server` prints, and the three for an exact cache.
"""

import argparse
import sys
import threading

import xllamacpp

TYPES = {"f16": xllamacpp.ggml_type.GGML_TYPE_F16, "f32": xllamacpp.ggml_type.GGML_TYPE_F32}
FLASH = {
    "auto": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "off": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    "on": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED,
}


def main() -> int:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("-m", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    for flag in ("--port", "-c", "-b", "-ub", "-n", "--parallel"):
        parser.add_argument(flag, type=int, required=True)
    for flag in ("-ctk", "-ctv"):
        parser.add_argument(flag, choices=TYPES, default="f16")
    parser.add_argument("-fa", choices=FLASH, default="auto")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path, params.hostnames, params.port = asked.m, [asked.host], asked.port
    params.n_ctx, params.n_batch, params.n_ubatch = asked.c, asked.b, asked.ub
    params.n_predict, params.n_parallel = asked.n, asked.parallel
    params.cache_type_k, params.cache_type_v = TYPES[asked.ctk], TYPES[asked.ctv]
    params.flash_attn_type = FLASH[asked.fa]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = asked.threads
    server = xllamacpp.Server(params)
    print(server.listening_address, file=sys.stderr, flush=True)
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
