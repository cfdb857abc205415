"""Fill a gap in code with a model folder or a model of the Hub, and stream the answer.

python examples/use_model.py out/model
python examples/use_model.py owner/model --revision FULL_COMMIT
"""

import argparse

from transformers import AutoModelForCausalLM, AutoTokenizer, TextStreamer

BEFORE = "def area(width, height):\n    return "
AFTER = "\n\nprint(area(2, 3))\n"

parser = argparse.ArgumentParser()
parser.add_argument("model", help="a model folder or the name of a repository")
parser.add_argument("--revision", help="the repository's full commit: its code is run, so pin it")
parser.add_argument("--max-new-tokens", type=int, default=32)
arguments = parser.parse_args()

pinned = {"revision": arguments.revision, "code_revision": arguments.revision} if arguments.revision else {}
model = AutoModelForCausalLM.from_pretrained(arguments.model, trust_remote_code=True, **pinned)
tokenizer = AutoTokenizer.from_pretrained(arguments.model, revision=arguments.revision)
model.optimize_for_cpu("packed")  # the same text, sooner; leave it out on a GPU

print(BEFORE, end="")
middle = model.infill(
    tokenizer,
    BEFORE,
    AFTER,
    max_new_tokens=arguments.max_new_tokens,
    allow_truncated=True,
    streamer=TextStreamer(tokenizer),
)
print(AFTER)
print("cut at the limit" if middle.is_truncated else "complete")
