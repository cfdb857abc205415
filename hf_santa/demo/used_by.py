"""The four examples of the README, and what they print when they are run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_santa.demo.steps import DemoError
from hf_santa.files import write_json
from hf_santa.repositories.clean_process import run_lines
from hf_santa.repositories.write import StageError


@dataclass(frozen=True)
class Use:
    """One way to use what was built; the code runs in the output folder, on a machine without this package."""

    title: str
    code: str
    environment: tuple[tuple[str, str], ...] = ()


MODEL = Use(
    "Load the model",
    """\
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(
    "model", trust_remote_code=True
)
tokenizer = AutoTokenizer.from_pretrained("model")
before, after = "def add(a, b):\\n    return ", "\\n"
middle = model.infill(
    tokenizer, before, after, max_new_tokens=12, allow_truncated=True
)
print(type(model).__name__, f"{model.num_parameters():,} parameters")
print(repr(before + middle + after))
""",
)
DATASET = Use(
    "Load the dataset",
    """\
from datasets import load_dataset

for recipe in ("base", "near_dedup"):
    files = load_dataset("dataset", recipe, split="train")
    print(recipe, files.num_rows, "files")
print(files[0]["lang"], files[0]["path"])
""",
)
METRIC = Use(
    "Measure completions",
    """\
import evaluate

metric = evaluate.load("eval_multipl_e")
scores = metric.compute(
    predictions=[["    return a + b\\n", "    return a - b\\n"]],
    references=["assert add(2, 3) == 5\\n"],
    prompts=["def add(a, b):\\n"],
    languages=["py"],
    k=(1,),
)
print(scores["pass@1"], [row["status"] for row in scores["results"]])
""",
    (("HF_ALLOW_CODE_EVAL", "1"),),
)
SPACE = Use(
    "Ask the Space",
    """\
from gradio_client import Client

space = Client("http://127.0.0.1:7860", verbose=False)
answer = space.predict(
    "def add(a, b):\\n    return <FILL_HERE>\\n", 12, api_name="/infill"
)
print(answer["finish_reason"], repr(answer["text"]))
""",
)


def run_one(use: Use, folder: Path, code: str | None = None) -> str:
    """Run the lines in `folder` in a process without this package, offline and with empty caches; return its output.

    Raises:
        DemoError: the lines fail; the message has the end of the error output.
    """
    try:
        return run_lines(code or use.code, folder, dict(use.environment))
    except StageError as error:
        raise DemoError(f"used-by: {use.title!r}: {error}") from error


def run_the_lines(out: Path, _: dict[str, Any]) -> str:
    """Run the four uses against what was staged; write `used_by.json`. The Space's answer is the one it gave above."""
    asked = json.loads((out / "space.json").read_text())
    answers = [{"title": use.title, "code": use.code, "output": run_one(use, out)} for use in (MODEL, DATASET, METRIC)]
    answers.append({"title": SPACE.title, "code": SPACE.code, "output": asked["output"]})
    write_json(out / "used_by.json", answers)
    return f"lines={len(answers)} all_ran=yes"
