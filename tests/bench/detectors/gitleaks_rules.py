"""gitleaks' rules through RE2, which is the engine of its language, from a copy of its `config/gitleaks.toml`.

As in gitleaks, a rule is tried where one of its keywords stands in the text in any case, its secret is the group that it
names or else the first one that is not empty, and the secret counts if its entropy is above the rule's and no list of
allowed values has it. Rules for paths alone are left out, and lists of paths and commits are not looked at.
"""

import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Spans = list[tuple[int, int, str]]


def gitleaks(path: Path) -> Callable[[str], Spans]:
    """Return a function that finds secrets by the rules of a file."""
    import re2

    options = re2.Options()
    options.log_errors = False
    config = tomllib.loads(path.read_text("utf-8"))
    general = [*_lists(config, re2.compile)]
    rules = [
        (
            re2.compile(rule["regex"], options),
            [word.lower() for word in rule.get("keywords", ())],
            rule.get("secretGroup", 0),
            rule.get("entropy", 0.0),
            [*_lists(rule, re2.compile), *general],
        )
        for rule in config["rules"]
        if "regex" in rule
    ]

    def find(text: str) -> Spans:
        lower, spans = text.lower(), []
        for regex, keywords, group, least, lists in rules:
            if keywords and not any(word in lower for word in keywords):
                continue
            for match in regex.finditer(text):
                number = group or next((at for at, one in enumerate(match.groups(), 1) if one), 0)
                secret = match[number]
                line = text[
                    text.rfind("\n", 0, match.start()) + 1 : (text.find("\n", match.end()) + 1 or len(text) + 1) - 1
                ]
                if entropy(secret) > least and not any(allows(secret, match[0], line) for allows in lists):
                    spans.append((*match.span(number), "KEY"))
        return spans

    return find


def entropy(secret: str) -> float:
    """Return Shannon's entropy of the characters of a text, in bits a character."""
    counts = Counter(secret).values()
    return -sum(count / len(secret) * math.log2(count / len(secret)) for count in counts)


def _lists(owner: Mapping[str, Any], compiled: Callable[[str], Any]) -> Iterator[Callable[[str, str, str], bool]]:
    """Yield a function for each list of allowed values: of the secret, the whole match and its line."""
    for given in [*owner.get("allowlists", ()), *([owner["allowlist"]] if "allowlist" in owner else ())]:
        words = [word.lower() for word in given.get("stopwords", ())]
        shapes = [compiled(shape) for shape in given.get("regexes", ())]
        target = {"match": 1, "line": 2}.get(given.get("regexTarget", ""), 0)
        needs_path = given.get("condition") == "AND" and "paths" in given
        if (words or shapes) and not needs_path:
            yield _allowing(words, shapes, target)


def _allowing(words: Sequence[str], shapes: Sequence[Any], target: int) -> Callable[[str, str, str], bool]:
    def allows(*texts: str) -> bool:
        secret = texts[0].lower()
        return any(word in secret for word in words) or any(shape.search(texts[target]) for shape in shapes)

    return allows
