"""Says what token healing gives: how often the word at the cursor is the one that was there, with and without it.

    python tests/bench/healing.py FOLDER [--gaps 200]

The cursor stands inside a word, behind an indentation, or before a word, in files of the standard library. Each place is asked in
both orders and as a continuation; a hit is an answer that begins with the rest of the word.
"""

import argparse
import random
import re
import sys
import sysconfig
from collections import Counter
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from modeling_santa.modeling_santa import SantaForCausalLM

BEFORE, AFTER, TOKENS, BATCH = 350, 150, 8, 20
PLACES = {
    "inside a word": r"[a-z]{4,}",
    "behind an indentation": r"(?<=\n)    +(?=[a-z]{2,})",
    "before a word": r"[a-z]{4,}",
}
WAYS = ("psm", "spm", "continued")


def gaps(place: str, count: int) -> list[tuple[str, str, str]]:
    """Return texts before the cursor, the rest of the word, and texts behind it."""
    draw, folder, found = random.Random(place), Path(sysconfig.get_path("stdlib")), []
    texts = [path.read_text(encoding="utf-8", errors="ignore") for path in sorted(folder.glob("*.py"))]
    texts = [text for text in texts if len(text) > 4 * BEFORE]
    while len(found) < count:
        text = draw.choice(texts)
        matches = [match for match in re.finditer(PLACES[place], text) if BEFORE < match.start() < len(text) - BEFORE]
        if not matches:
            continue
        at = draw.choice(matches)
        start = {"inside a word": draw.randrange(at.start() + 1, at.end()), "before a word": at.start()}.get(
            place, at.end()
        )
        end = start + len(re.match(r"\w+", text[start:]).group())
        found.append((text[start - BEFORE : start], text[start:end], text[end : end + AFTER]))
    return found


def answers(
    model: SantaForCausalLM, tokenizer: object, texts: list[tuple[str, str, str]], way: str, *, heal: bool
) -> list[str]:
    """Return what the model writes at each place: middles by `infill`, in batches, or continuations by `stream`."""
    settings = {"max_new_tokens": TOKENS, "heal": heal}
    if way == "continued":
        streams = (model.stream(tokenizer, prefix, **settings) for prefix, _, _ in texts)
        return ["".join(piece.text for piece in pieces) for pieces in streams]
    written = []
    for at in range(0, len(texts), BATCH):
        prefixes, _, suffixes = zip(*texts[at : at + BATCH], strict=True)
        written += model.infill(tokenizer, prefixes, suffixes, mode=way, allow_truncated=True, **settings)
    return written


def main() -> int:
    """Print a line for each place and way."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", metavar="FOLDER", help="a model folder")
    parser.add_argument("--gaps", type=int, default=200, help="of each place (default: 200)")
    arguments = parser.parse_args()
    model = SantaForCausalLM.from_pretrained(arguments.folder).float().eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(arguments.folder)
    for place in PLACES:
        hits: Counter[tuple[str, bool]] = Counter()
        texts = gaps(place, arguments.gaps)
        for way in WAYS:
            for heal in (False, True):
                written = answers(model, tokenizer, texts, way, heal=heal)
                hits[way, heal] = sum(text.startswith(rest) for text, (_, rest, _) in zip(written, texts, strict=True))
            print(f"{place}, {way}: {hits[way, False]} of {arguments.gaps}, healed {hits[way, True]}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
