"""Precision, recall and speed of the redaction's detectors beside presidio, detect-secrets, CredSweeper and the report.

    python tests/bench/pii.py [--cases 300] [--megabytes 2] [--rounds 3] [--gitleaks gitleaks.toml]

A find is right where it overlaps the value by more than 80 % of both, the report's rule. The peers run in
`.venv-bench` (`make peers`); without it they are left out, and the table says so. gitleaks' rules are read from a copy of
`config/gitleaks.toml` in its repository (https://github.com/gitleaks/gitleaks), which is not part of this project. Speeds are medians of rounds in which
the detectors take turns on the same files, each in one thread.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import sysconfig
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import NoOpNlpEngine
from presidio_analyzer.predefined_recognizers import EmailRecognizer, IpRecognizer

from data_recipes.pii.presidio import pii_registry

DETECTORS = Path(__file__).with_name("detectors")
sys.path[:0] = [str(DETECTORS), str(DETECTORS.parents[2])]

import framework_secrets  # noqa: E402  # beside this file, not installed
import framework_secrets_fifth  # noqa: E402  # likewise
import framework_secrets_fourth  # noqa: E402  # likewise
import framework_secrets_second  # noqa: E402  # likewise
import framework_secrets_third  # noqa: E402  # likewise
from gitleaks_rules import gitleaks  # noqa: E402  # likewise
from pii_cases import Case, all_cases  # noqa: E402  # likewise

from tests.fixtures.key_samples import sample  # noqa: E402  # the root of the project is on the path

Spans = list[tuple[int, int, str]]
Batch = Callable[[Sequence[str]], tuple[list[Spans], float]]
ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".venv-bench" / "bin" / "python"
TYPES = ("EMAIL_ADDRESS", "IP_ADDRESS", "KEY")
HOSTILE = (
    "a@",
    "1.1.1.",
    "1.1.1.1 ",
    ":",
    "=",
    "a@a.com ",
    "5.9.12.30 ",
    "-----BEGIN PRIVATE KEY-----",
    "key='",
    "eyJ.",
)
MIN_SCORE = 0.5


def engine(registry: RecognizerRegistry) -> Batch:
    """Presidio's engine with a registry, on the no-op language engine."""
    nlp = NoOpNlpEngine(models=[{"lang_code": "en", "model_name": "no_op"}])
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=["en"])
    artifacts = nlp.process_text("", "en")

    def batch(texts: Sequence[str]) -> tuple[list[Spans], float]:
        started = time.perf_counter()
        results = [analyzer.analyze(text, language="en", nlp_artifacts=artifacts) for text in texts]
        seconds = time.perf_counter() - started
        return [[(r.start, r.end, r.entity_type) for r in found if r.score >= MIN_SCORE] for found in results], seconds

    return batch


def presidio() -> Batch:
    """Presidio's own recognizers of e-mail and IP addresses; the list of suffixes is not fetched."""
    import tldextract
    from presidio_analyzer.predefined_recognizers.generic import email_recognizer

    extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    email_recognizer.tldextract = SimpleNamespace(extract=extract)
    return engine(RecognizerRegistry([EmailRecognizer(), IpRecognizer()], supported_languages=["en"]))


def peers() -> Iterator[tuple[str, Batch]]:
    """The detectors of the other environment, where it is there."""
    if not PEERS.exists():
        print("No .venv-bench: report, detect-secrets and CredSweeper are left out. Run make peers.")
        return
    process = subprocess.Popen(
        [PEERS, DETECTORS / "pii_peers.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def batch(name: str, texts: Sequence[str]) -> tuple[list[Spans], float]:
        process.stdin.write(json.dumps({"name": name, "texts": list(texts)}) + "\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline())
        return [[tuple(span) for span in found] for found in answer["spans"]], answer["seconds"]

    for name in ("report", "detect-secrets", "CredSweeper"):
        yield name, lambda texts, name=name: batch(name, texts)


def in_this_process(find: Callable[[str], Spans]) -> Batch:
    """Return a detector of one text as one of many that takes its time."""

    def batch(texts: Sequence[str]) -> tuple[list[Spans], float]:
        started = time.perf_counter()
        spans = [find(text) for text in texts]
        return spans, time.perf_counter() - started

    return batch


def right(case: Case, span: tuple[int, int, str]) -> bool:
    """Whether a find is the case's value by the report's rule."""
    start, end = case.span
    overlap = min(end, span[1]) - max(start, span[0])
    return overlap > 0.8 * (end - start) and overlap > 0.8 * (span[1] - span[0])


def scores(cases: Sequence[Case], found: Sequence[Spans], kind: str) -> dict[str, float]:
    """Precision, recall, F1 and the share of negatives hit; recall by source."""
    hits, totals, false = defaultdict(int), defaultdict(int), 0
    negatives = 0
    for case, spans in zip(cases, found, strict=True):
        if case.type != kind:
            continue
        mine = [span for span in spans if span[2] == kind]
        is_right = [case.span is not None and right(case, span) for span in mine]
        totals[case.source] += 1
        hits[case.source] += any(is_right)
        false += is_right.count(False)
        negatives += case.span is None and bool(mine)
    positives = sum(count for source, count in totals.items() if source != "negative")
    true = sum(hits.values())
    precision, recall = true / max(1, true + false), true / positives
    f1 = 2 * precision * recall / max(1e-9, precision + recall)
    by_source = {source: hits[source] / count for source, count in totals.items() if source != "negative"}
    return {"P": precision, "R": recall, "F1": f1, "neg": negatives / totals["negative"], **by_source}


def stored_secrets(table: dict[str, str], seeds: int = 20) -> list[Case]:
    """Secrets as frameworks and programs store them, so many of each kind."""
    cases = []
    for name, template in table.items():
        for seed in range(seeds):
            text, value = sample(template, seed)
            start = text.index(value)
            cases.append(Case("KEY", name, text, (start, start + len(value))))
    return cases


def recall_by_kind(cases: Sequence[Case], found: Sequence[Spans]) -> float:
    """Return the mean over the kinds of the share whose value is found, whatever type it is found as."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for case, spans in zip(cases, found, strict=True):
        hits[case.source].append(any(right(case, span) for span in spans))
    return statistics.mean(statistics.mean(values) for values in hits.values())


def sources(megabytes: float) -> list[str]:
    """Files of this interpreter's libraries and, where they are installed, of the JDK and of npm, shuffled."""
    paths = [*Path(sysconfig.get_path("stdlib")).rglob("*.py")]
    for folder in ("/usr/lib/node_modules", "/usr/share/nodejs"):
        paths += Path(folder).rglob("*.js")
    texts = [path.read_bytes().decode("utf-8", "replace") for path in sorted(paths) if path.is_file()]
    for archive in sorted(Path("/usr/lib/jvm").glob("*/lib/src.zip"))[:1]:
        with zipfile.ZipFile(archive) as opened:
            names = [name for name in opened.namelist() if name.endswith(".java")][::10]
            texts += [opened.read(name).decode("utf-8", "replace") for name in names]
    random.Random(3).shuffle(texts)
    taken, size = [], 0
    for text in texts:
        taken.append(text)
        size += len(text)
        if size > megabytes * 1e6:
            break
    return taken


def speeds(detectors: dict[str, Batch], texts: Sequence[str], rounds: int) -> dict[str, float]:
    """MB/s of each detector, the median of rounds in turn."""
    size = sum(len(text.encode("utf-8", "replace")) for text in texts) / 1e6
    seconds: dict[str, list[float]] = {name: [] for name in detectors}
    for _ in range(rounds):
        for name, detect in detectors.items():
            seconds[name].append(detect(texts)[1])
    return {name: size / statistics.median(times) for name, times in seconds.items()}


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--megabytes", type=float, default=2)
    parser.add_argument("--large-megabytes", type=float, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gitleaks", type=Path, help="a copy of gitleaks' config/gitleaks.toml")
    args = parser.parse_args()
    ours = {f"ours ({name})": engine(pii_registry(backend=name)) for name in ("hyperscan", "re2", "re")}
    others = dict(peers())
    if args.gitleaks:
        others["gitleaks' rules"] = in_this_process(gitleaks(args.gitleaks))
    detectors = {**ours, "presidio": presidio(), **others}
    cases = all_cases(args.cases)
    for kind in TYPES:
        print(f"\n{kind}: {sum(c.type == kind and c.span is not None for c in cases)} positives")
        for name, detect in detectors.items():
            table = scores(cases, detect([case.text for case in cases])[0], kind)
            print(f"  {name:<18}" + "  ".join(f"{column} {value:.3f}" for column, value in table.items()))
    ours_all = engine(pii_registry(("KEY", "PASSWORD")))
    suites = [
        (f"{title}, {name} suite", getattr(suite, title.upper()))
        for name, suite in (
            ("first", framework_secrets),
            ("second", framework_secrets_second),
            ("third", framework_secrets_third),
            ("fourth", framework_secrets_fourth),
            ("fifth", framework_secrets_fifth),
        )
        for title in ("keys", "passwords")
    ]
    for title, table in suites:
        stored = stored_secrets(table)
        print(f"\n{title}: as {len(table)} frameworks and programs store them, 20 each, mean recall")
        for name, detect in {"ours": ours["ours (re2)"], "ours, with passwords": ours_all, **others}.items():
            print(f"  {name:<22}{recall_by_kind(stored, detect([case.text for case in stored])[0]):.3f}")
    texts = sources(args.megabytes)
    print(f"\nMB/s on {args.megabytes} MB of source, three types, one thread (presidio: two types, the others: keys)")
    found = speeds(detectors, texts, args.rounds)
    best = found["ours (hyperscan)"]
    for name, speed in found.items():
        print(f"  {name:<18}{speed:8.2f}   hyperscan / this {best / speed:7.1f}")
    large = {name: ours[name] for name in ("ours (hyperscan)", "ours (re2)")}
    print(f"\nMB/s on {args.large_megabytes} MB")
    for name, speed in speeds(large, sources(args.large_megabytes), args.rounds).items():
        print(f"  {name:<18}{speed:8.2f}")
    print("\nseconds for 1 MB of one thing again and again")
    for piece in HOSTILE:
        text = piece * (1_000_000 // len(piece))
        print(f"  {piece!r:<32}" + "  ".join(f"{detect([text])[1]:.3f}" for detect in ours.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
