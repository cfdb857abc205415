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

BEFORE, AFTER, TOKENS = 350, 150, 8
PLACES = {
    "inside a word": r"[a-z]{4,}",
    "behind an indentation": r"(?<=\n)    +(?=[a-z]{2,})",
    "before a word": r"[a-z]{4,}",
}
WAYS = {"psm": {"mode": "psm"}, "spm": {"mode": "spm"}, "continued": None}


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
        for prefix, rest, suffix in gaps(place, arguments.gaps):
            for way, settings in WAYS.items():
                for heal in (False, True):
                    sides = (prefix, None if settings is None else suffix)
                    pieces = model.stream(tokenizer, *sides, max_new_tokens=TOKENS, heal=heal, **(settings or {}))
                    hits[way, heal] += "".join(piece.text for piece in pieces).startswith(rest)
        for way in WAYS:
            print(f"{place}, {way}: {hits[way, False]} of {arguments.gaps}, healed {hits[way, True]}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
