"""Define the format of the demo's report, and check that a report has it.

Numbers are finite and not negative; unknown keys are left alone.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypedDict, cast, get_args, get_origin, get_type_hints, is_typeddict

Share = Annotated[float, "0 to 1"]


class Machine(TypedDict):
    """Where the run took place; `bf16` says whether the CPU has it."""

    cores: int
    memory_gib: float
    platform: str
    bf16: bool


class TimedStep(TypedDict):
    """One step of the demo with its summary line, its wall time and the peak memory of its processes."""

    name: str
    summary: str
    seconds: float
    peak_rss_mb: float
    reused: bool


class Corpus(TypedDict):
    """The source trees read, with the files taken from them."""

    roots: list[str]
    files: int
    bytes: int


class Stage(TypedDict):
    """What was left of a language after one stage."""

    name: str
    files: int
    bytes: int


class RejectReason(TypedDict):
    """What one stage left out for one reason."""

    stage: str
    reason: str
    files: int
    bytes: int


class Funnel(TypedDict):
    """The stages of one language in order, and what each left out."""

    lang: str
    stages: list[Stage]
    rejects: list[RejectReason]


class LossPoint(TypedDict):
    """Training loss in nats per token."""

    step: int
    loss: float


class HeldoutPoint(TypedDict):
    """Bits per byte on files the model never trains on."""

    step: int
    bits_per_byte: float


class Infill(TypedDict):
    """Exact match of infilled lines, of one language or of one way to guess them, with its interval."""

    label: str
    exact_match: Share
    low: Share
    high: Share
    tasks: int


class Guesser(TypedDict):
    """The model or a baseline on the files held back; a list is empty where there is no such figure."""

    name: str
    bits_per_byte: list[float]
    lines: list[Infill]


class Training(TypedDict):
    """The training run and its score on held-out files beside a unigram model's and other baselines'."""

    parameters: int
    tokens: int
    steps: int
    seconds: float
    seq_len: int
    fim_rate: Share
    curve: list[LossPoint]
    heldout: list[HeldoutPoint]
    bits_per_byte: float
    unigram_bits_per_byte: float
    heldout_files: int
    heldout_bytes: int
    stopped_by_time: bool
    guessers: list[Guesser]


class Parity(TypedDict):
    """The greatest difference between the logits of the classes that load the same folder."""

    max_abs_logit_difference: float
    classes: list[str]
    report: str


class Sample(TypedDict):
    """What the model wrote for one problem; `prompt` and `suffix` surround it, `truth` is our own solution."""

    name: str
    language: str
    kind: Literal["complete", "infill"]
    prompt: str
    suffix: str
    truth: str
    generated: str
    status: str
    truncated: bool


class Score(TypedDict):
    """A metric of one language with its interval; the reference is our own solutions through the same metric."""

    label: str
    metric: str
    value: Share
    low: Share
    high: Share
    programs: int
    reference_value: Share


class MissingToolchain(TypedDict):
    """A language left out of the scores, and why."""

    language: str
    message: str


class UsedLines(TypedDict):
    """A few lines of a user's code and the output they really gave."""

    title: str
    code: str
    output: str


class DemoReport(TypedDict):
    """The whole report; `redactions` counts spans by type, and under `files` the files that had any."""

    title: str
    versions: dict[str, str]
    machine: Machine
    steps: list[TimedStep]
    corpus: Corpus
    funnel: list[Funnel]
    redactions: dict[str, int]
    training: Training
    parity: Parity
    samples: list[Sample]
    scores: list[Score]
    infill: list[Infill]
    missing_toolchains: list[MissingToolchain]
    sandbox: str
    used_by: list[UsedLines]


def validate(report: Mapping[str, Any]) -> DemoReport:
    """Return a report as it is if it has every key of `DemoReport`, each of its type.

    >>> validate({})
    Traceback (most recent call last):
    ...
    ValueError: report: no key 'title'. Keys found: none. The format is hf_santa.demo.report.schema.DemoReport.
    """
    _check(DemoReport, report, "")
    if "files" not in report["redactions"]:
        raise ValueError(_missing("redactions", "files", report["redactions"]))
    return cast(DemoReport, report)


def _missing(path: str, key: str, found: Mapping[str, object]) -> str:
    where = f"'{path}' has no key '{key}'" if path else f"no key '{key}'"
    keys = ", ".join(map(str, found)) or "none"
    return f"report: {where}. Keys found: {keys}. The format is hf_santa.demo.report.schema.DemoReport."


def _check(expected: Any, value: object, path: str) -> None:
    """A value is held against a type of `DemoReport`, down to its last part."""
    origin = get_origin(expected)
    if is_typeddict(expected):
        _expect(isinstance(value, Mapping), path, value, "an object")
        found = cast(Mapping[str, object], value)
        for key, kind in get_type_hints(expected, include_extras=True).items():
            if key not in found:
                raise ValueError(_missing(path, key, found))
            _check(kind, found[key], f"{path}.{key}" if path else key)
    elif origin is list:
        _expect(isinstance(value, Sequence) and not isinstance(value, str), path, value, "a list")
        for i, item in enumerate(cast(Sequence[object], value)):
            _check(get_args(expected)[0], item, f"{path}[{i}]")
    elif origin is dict:
        _expect(isinstance(value, Mapping), path, value, "an object")
        for key, item in cast(Mapping[str, object], value).items():
            _check(get_args(expected)[1], item, f"{path}.{key}")
    else:
        _expect(*_scalar(expected, origin, path, value))


def _scalar(expected: Any, origin: object, path: str, value: object) -> tuple[bool, str, object, str]:
    """The arguments of `_expect` for a value without parts."""
    if origin is Literal:
        return value in get_args(expected), path, value, " or ".join(map(repr, get_args(expected)))
    if expected in (str, bool):
        return isinstance(value, expected), path, value, "text" if expected is str else "true or false"
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    if expected is int:
        return is_number and isinstance(value, int), path, value, "a whole number, 0 or more"
    if origin is Annotated:
        return is_number and cast(float, value) <= 1, path, value, "a share between 0 and 1"
    return is_number, path, value, "a finite number, 0 or more"


def _expect(is_right: bool, path: str, value: object, expected: str) -> None:
    if not is_right:
        seen = repr(value)[:80]
        raise ValueError(f"report: '{path or 'report'}' is {seen}, expected {expected}. Mend the step that wrote it.")
