"""How long a try waits: as long as the Hub asks, or twice as long each time."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from huggingface_hub.errors import HfHubHTTPError

from hf_santa.publishing.commit import GaveUpError, Retry, waits_for


def _refused(status, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx.Response(status, headers=named, request=httpx.Request("POST", "https://hub.example/api"))
    return HfHubHTTPError("refused", response=response)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (_refused(429, Retry_After="17"), 17),
        (_refused(429, RateLimit='"api";r=0;t=55', RateLimit_Policy='"fixed window";"api";q=500;w=300'), 55),
        (_refused(429), 75),
        (_refused(429, Retry_After="soon"), 75),
        (_refused(503, Retry_After="17"), None),
        (ConnectionError("gone"), None),
    ],
    ids=["seconds", "rate limit", "nothing said", "nonsense", "another status", "no answer"],
)
def test_the_hub_says_how_long_to_wait(error, expected):
    """Only "too many requests" is waited for by the Hub's own clock; without one, four tries fill a window of 300 s."""
    assert expected == waits_for(error, 1.0)


def test_a_date_is_understood():
    """`Retry-After` may be a date; one that has passed is no wait."""
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 < waits_for(_refused(429, Retry_After=later), 1.0) <= 100
    assert 0 == waits_for(_refused(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"), 1.0)


def test_a_try_waits_as_asked_and_tells(monkeypatch):
    """The wait is the Hub's, the line says it, and the next try succeeds."""
    waited, said, answers = [], [], iter([_refused(429, Retry_After="40"), _refused(503), None])
    monkeypatch.setattr(time, "sleep", waited.append)

    def work():
        answer = next(answers)
        if answer:
            raise answer
        return "done"

    assert "done" == Retry(3, 2.0)("me/santa", work, said.append)
    assert [40, 4] == waited
    assert "the Hub answered 429; next try in 40 s" in said[0]


def test_a_wait_of_hours_is_not_waited():
    """The error says how long the Hub asks for."""

    def work():
        raise _refused(429, Retry_After="7200")

    with pytest.raises(GaveUpError, match="asks to wait 120 minutes"):
        Retry()("me/santa", work, lambda _line: None)
