"""The other detectors, each behind one call: answers lines of JSON, so that it can run in an environment of its own.

`{"name": NAME, "texts": [...]}` in, `{"spans": [[[start, end, type], ...], ...], "seconds": ...}` out. The report's
pipeline is rewritten here from its description (appendix C): its own code is not a package.
"""

import contextlib
import ipaddress
import json
import logging
import os
import re
import string
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Spans = list[tuple[int, int, str]]
PLUGINS = [
    "ArtifactoryDetector",
    "AWSKeyDetector",
    "Base64HighEntropyString",
    "HexHighEntropyString",
    "AzureStorageKeyDetector",
    "CloudantDetector",
    "DiscordBotTokenDetector",
    "GitHubTokenDetector",
    "IbmCloudIamDetector",
    "IbmCosHmacDetector",
    "JwtTokenDetector",
    "MailchimpDetector",
    "NpmDetector",
    "SendGridDetector",
    "SlackDetector",
    "SoftlayerDetector",
    "StripeDetector",
    "TwilioKeyDetector",
]
FILTERS = [
    f"detect_secrets.filters.heuristic.{name}"
    for name in ("is_potential_uuid", "is_likely_id_string", "is_templated_secret", "is_sequential_string")
]
POPULAR_DNS = {
    "8.8.8.8",
    "8.8.4.4",
    "1.1.1.1",
    "1.0.0.1",
    "9.9.9.9",
    "208.67.222.222",
    "208.67.220.220",
    "94.140.14.14",
}
LEFT, RIGHT = r"(?:^|(?<=[\s,;:?!'\"(<@.\[{]))", r"(?=$|[\s,;:?!'\")>.\]}])"
EMAIL = re.compile(LEFT + r"[\w.+%=-]+@[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,63}" + RIGHT)
IPV4 = r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}"
IPV6 = r"(?:[0-9A-Fa-f]{1,4}:){1,7}(?::|(?::?[0-9A-Fa-f]{1,4})+)"
IP = re.compile(r"(?:^|(?<=[\s,;?!'\"(:.]))(?:" + IPV6 + "|" + IPV4 + r")(?=$|[\s,;?!'\":.])")
DATE = re.compile(r"[0-3]?[0-9]\.[01]?[0-9]\.[0-9]{2,4}")


def report() -> Callable[[str], Spans]:
    """The report's regular expressions, its address filters, and detect-secrets with its 18 plugins and filters."""
    secrets, gibberish = detect_secrets([{"name": name} for name in PLUGINS], FILTERS), gibberish_detector()

    def find(text: str) -> Spans:
        spans: Spans = [(m.start(), m.end(), "EMAIL_ADDRESS") for m in EMAIL.finditer(text)]
        spans += [(m.start(), m.end(), "IP_ADDRESS") for m in IP.finditer(text) if is_address(text, m)]
        lines = text.lower().count("\n") + 1
        if max(text.lower().count("sha"), text.lower().count("hash")) > 0.02 * lines:
            return spans
        for start, end, kind in secrets(text):
            line = text[text.rfind("\n", 0, start) + 1 : start].lower()
            is_hash = end - start in {32, 40, 64} and re.search(r"sha|md5|hash|byte", line)
            if not is_hash and gibberish(text[start:end]):
                spans.append((start, end, kind))
        return spans

    return find


def is_address(text: str, found: re.Match[str]) -> bool:
    """The report's filters: valid, public, no date, no well-known resolver; d.d.d.d only near `dns` or `server`."""
    value = found.group()
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    if address.is_private or value in POPULAR_DNS or DATE.search(value):
        return False
    around = text[max(0, found.start() - 100) : found.end() + 100].lower()
    return not re.fullmatch(r"(?:[0-9]\.){3}[0-9]", value) or "dns" in around or "server" in around


def gibberish_detector() -> Callable[[str], bool]:
    """A bigram model of the standard library's words; the report's own model came from a book."""
    from gibberish_detector.detector import Detector
    from gibberish_detector.trainer import train_on_content

    texts = [path.read_text("utf-8", "replace") for path in sorted(Path(os.__file__).parent.glob("*.py"))]
    model = train_on_content("\n".join(texts)[:2_000_000], string.ascii_letters)
    return Detector(model, 4.0).is_gibberish


def detect_secrets(
    plugins: list[dict[str, Any]] | None = None, filters: list[str] | None = None
) -> Callable[[str], Spans]:
    """detect-secrets on a file of the text; a value's span is where it stands in its line."""
    from detect_secrets import SecretsCollection
    from detect_secrets.settings import default_settings, transient_settings

    path = Path(tempfile.mkdtemp()) / "file.txt"

    @contextlib.contextmanager
    def settings() -> Iterator[None]:
        chosen = {"plugins_used": plugins, "filters_used": [{"path": name} for name in filters or ()]}
        with transient_settings(chosen) if plugins else default_settings():
            yield

    def find(text: str) -> Spans:
        path.write_text(text, "utf-8", errors="replace", newline="")
        found = SecretsCollection()
        with settings():
            found.scan_file(str(path))
        starts = [0, *(m.end() for m in re.finditer(r"\r\n|\n|\r", text))]
        spans: Spans = []
        for _, secret in found:
            at = text.find(secret.secret_value or "\0", starts[min(secret.line_number, len(starts)) - 1])
            if at >= 0:
                spans.append((at, at + len(secret.secret_value), "KEY"))
        return spans

    return find


def credsweeper() -> Callable[[str], Spans]:
    """CredSweeper with its model, as from the command line."""
    from credsweeper.app import CredSweeper
    from credsweeper.file_handler.byte_content_provider import ByteContentProvider

    app = CredSweeper(use_filters=True, pool_count=1)

    def find(text: str) -> Spans:
        provider = ByteContentProvider(text.encode("utf-8", "replace"), file_path="file.py", file_type=".py")
        app.credential_manager.set_credentials(app.file_scan(provider))
        app.post_processing(None)
        starts = [0, *(m.end() for m in re.finditer(r"\r\n|\n|\r", text))]
        spans: Spans = []
        for candidate in app.credential_manager.get_credentials():
            first, last = candidate.line_data_list[0], candidate.line_data_list[-1]
            if first.value_start is not None and first.value_start >= 0:
                start = starts[first.line_num - 1] + first.value_start
                spans.append((start, max(start + 1, starts[last.line_num - 1] + last.value_end), "KEY"))
        return spans

    return find


PEERS = {"report": report, "detect-secrets": detect_secrets, "CredSweeper": credsweeper}


def main() -> None:
    """Answer until stdin ends."""
    logging.disable(logging.CRITICAL)
    out, sys.stdout = sys.stdout, sys.stderr
    ready: dict[str, Callable[[str], Spans]] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["name"] not in ready:
            ready[asked["name"]] = PEERS[asked["name"]]()
            ready[asked["name"]]("key = 1\n")
        started = time.perf_counter()
        spans = [ready[asked["name"]](text) for text in asked["texts"]]
        print(json.dumps({"spans": spans, "seconds": time.perf_counter() - started}), file=out, flush=True)


if __name__ == "__main__":
    main()
