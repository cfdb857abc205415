"""Train a model by GRPO with the passing of tests as its reward: a tiny model, a few steps, to see that it all joins.

    pip install trl
    HF_ALLOW_CODE_EVAL=1 python examples/grpo_reward.py out/model out/rewarded --steps 3

Any folder with a tokenizer will do in place of `out/model`; `hf-santa demo` leaves one. A model of that size learns
nothing in three steps: take a real model, real problems (`nuprl/MultiPL-E` has the columns that are needed) and a GPU.
"""

import argparse
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from eval_multipl_e.suite import Reward

parser = argparse.ArgumentParser()
parser.add_argument("model", type=Path)
parser.add_argument("out", type=Path)
parser.add_argument("--steps", type=int, default=3)
arguments = parser.parse_args()

problems = Dataset.from_list(
    [
        {
            "prompt": f"def add_{number}(x):\n",
            "tests": f"assert add_{number}(1) == {number + 1}\nassert add_{number}(5) == {number + 5}",
            "language": "py",
            "stop_tokens": ["\ndef", "\nclass"],
        }
        for number in range(8)
    ]
)
tokenizer = AutoTokenizer.from_pretrained(arguments.model)
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
# A program that does not even parse is told from one that is only wrong: at first that is all there is to learn from.
passes = Reward(values={"OK": 1.0, "AssertionError": 0.2, "Exception": 0.1})
trainer = GRPOTrainer(
    model=AutoModelForCausalLM.from_pretrained(arguments.model),
    reward_funcs=passes,
    args=GRPOConfig(
        output_dir=str(arguments.out),
        max_steps=arguments.steps,
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=16,
        logging_steps=1,
        bf16=torch.cuda.is_available(),
        report_to="none",
        save_strategy="no",
    ),
    train_dataset=problems,
    processing_class=tokenizer,
)
trainer.train()
trainer.save_model(str(arguments.out))
for row in trainer.state.log_history:
    if "reward" in row:
        print(f"step={row['step']} reward={row['reward']:.3f} passed={row['passes_tests/OK']:.3f}")
passes.close()
