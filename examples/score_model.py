"""Let a model complete two small problems several times, run what it wrote in the sandbox, and print pass@k.

HF_ALLOW_CODE_EVAL=1 python examples/score_model.py out/model
"""

import argparse

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from eval_multipl_e import score

PROBLEMS = [
    ('def add(a, b):\n    """Add two numbers."""\n', "assert add(2, 3) == 5\n"),
    ('def largest(xs):\n    """Return the largest element."""\n', "assert largest([1, 3, 2]) == 3\n"),
]
STOPS = ("\ndef ", "\nclass ", "\nprint", "\n#", "\nif ")  # where a function has ended

parser = argparse.ArgumentParser()
parser.add_argument("model", help="a model folder or the name of a repository; its code is not run")
parser.add_argument("--samples", type=int, default=4)
parser.add_argument("--max-new-tokens", type=int, default=48)
arguments = parser.parse_args()

tokenizer = AutoTokenizer.from_pretrained(arguments.model)
model = AutoModelForCausalLM.from_pretrained(arguments.model)
torch.manual_seed(0)
predictions = []
for prompt, _ in PROBLEMS:
    inputs = tokenizer(prompt, return_tensors="pt")
    out = model.generate(
        **inputs,
        do_sample=True,
        temperature=0.2,
        top_p=0.95,
        num_return_sequences=arguments.samples,
        max_new_tokens=arguments.max_new_tokens,
        pad_token_id=tokenizer.eos_token_id,
    )
    texts = tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    predictions.append(
        [text[: min((at for s in STOPS if (at := text.find(s)) >= 0), default=len(text))] for text in texts]
    )

result = score(
    predictions,
    [tests for _, tests in PROBLEMS],
    ["py"] * len(PROBLEMS),
    prompts=[prompt for prompt, _ in PROBLEMS],
)
print({name: result[name] for name in result["intervals"]}, result["counts"]["all"])
