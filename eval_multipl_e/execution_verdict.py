"""Map a finished program to a status, by MultiPL-E's rules (`compat`) or stricter ones (`strict`)."""

from .languages_row import Ending, Language
from .sandbox_streams import Capture, FinishedCommand

_POLL_S, _READ_BYTES, _KEPT_BYTES, _PIPE_BYTES = 0.1, 1024, 2048, 1 << 16


def named(language: Language, step: FinishedCommand, *, strict: bool, timeout_s: float) -> tuple[str, str]:
    """Return the status of a run that was ended by itself or by the clock, and the reason for one that is not OK."""
    if step.memory_bytes:
        return "Exception", f"memory: the program's processes held {step.memory_bytes >> 20} MB together"
    if strict:
        return _strict(language, step, timeout_s)
    status = language.rule(_seen(language, step, timeout_s))
    if status == "OK":
        return "OK", ""
    return status, _reason(step, timeout_s)


def named_build(language: Language, step: FinishedCommand, number: int, *, strict: bool) -> tuple[str, str] | None:
    """Return the status of a build command that failed, and the reason; None for one that did not."""
    if step.exit_code == 0:
        return None
    if step.exit_code is None and not step.memory_bytes:
        return "Timeout" if strict else language.build_timeout, "build: time limit"
    if strict:
        return "SyntaxError", "build failed"
    if language.build_rule is not None:
        return language.build_rule(_seen(language, step, language.build_timeout_s)), "build failed"
    return language.build_failure[min(number, len(language.build_failure) - 1)], "build failed"


def _strict(language: Language, step: FinishedCommand, timeout_s: float) -> tuple[str, str]:
    if step.exit_code is None:
        return "Timeout", _reason(step, timeout_s)
    whole = Ending(step.exit_code, step.stdout.text(), step.stderr.text())
    rule = language.strict_rule
    # What a program prints, and where, is no failure: MultiPL-E's rules ask that because they have no line to look for.
    if step.exit_code == 0 and step.stdout.found and (rule is None or rule(whole) == "OK"):
        return "OK", ""
    status = language.rule(whole)
    if status == "OK" and step.exit_code == 0 and not step.stdout.found:
        return "Exception", "no_sentinel: the program ended before its tests did"
    if status == "OK":
        status = "Exception"  # by its exit code, which MultiPL-E counts as not passed, too
    if language.strict_marks:
        text = f"\n{whole.stderr}"
        status = next((better for better, mark in language.strict_marks if mark in text), "Exception")
    return status, _reason(step, timeout_s)


def _reason(step: FinishedCommand, timeout_s: float) -> str:
    if step.exit_code is None:
        return f"time limit of {timeout_s:g} s"
    return f"exit code {step.exit_code}" if step.exit_code else "what it printed"


def _seen(language: Language, step: FinishedCommand, timeout_s: float) -> Ending:
    code = step.exit_code
    if not language.is_polled:
        return Ending(code, step.stdout.text(), step.stderr.text())
    if any(_blocks(capture, timeout_s) for capture in (step.stdout, step.stderr)):
        code = None
    return Ending(code, polled(step.stdout, step.seconds), polled(step.stderr, step.seconds))


def _blocks(capture: Capture, timeout_s: float) -> bool:
    """Whether a stream is longer than MultiPL-E's evaluator reads before its time limit, and the pipe holds."""
    return capture.total > _PIPE_BYTES + _READ_BYTES / _POLL_S * timeout_s


def polled(capture: Capture, seconds: float) -> str:
    """Return what MultiPL-E's evaluator reads of a stream: 1 KB every 0.1 s until the program ends, at most 2 KB.

    A quick program is looked at twice, at its start and at 0.1 s, so that 1 KB of it is seen at most.
    """
    read, at = 0, 0.0
    while read < _KEPT_BYTES:
        there = next((total for when, total in reversed(capture.arrivals) if when <= at), 0)
        read += min(_READ_BYTES, max(0, there - read))
        if at >= seconds:
            break
        at += _POLL_S
    return capture.kept[:read].decode("utf-8", "ignore")
