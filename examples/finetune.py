"""Fine-tune a model folder on a folder of source code, then let the result fill a gap.

    python examples/finetune.py out/model ~/code out/tuned --steps 300

The same as `hf-santa finetune`, for those who want to build on it; needs the extra `finetune`.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

parser = argparse.ArgumentParser()
parser.add_argument("model", type=Path)
parser.add_argument("source", type=Path)
parser.add_argument("out", type=Path)
parser.add_argument("--steps", type=int, default=300)
arguments = parser.parse_args()

command = ["hf-santa", "finetune", "--model", arguments.model, "--source", arguments.source, "--out", arguments.out]
settings = ["--lora", "--steps", arguments.steps, "--gaps", 20]
finished = subprocess.run([*map(str, command), *map(str, settings)], check=False)
if finished.returncode:
    sys.exit(finished.returncode)  # give the same command again: it goes on from its last checkpoint

folder = arguments.out / "model"  # the adapter is merged: a whole model folder
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
print(repr(str(model.infill(tokenizer, "import ", "\n", max_new_tokens=8, allow_truncated=True))))
