"""Write the audit log: what was redacted where, without any value."""

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator

from data_recipes.pii.finding import Finding
from data_recipes.pii.redaction_key import RedactionKey, chosen_key
from data_recipes.pii.replacements import POLICY_VERSION


def audit_lines(
    text: str,
    findings: Iterable[Finding],
    *,
    key: RedactionKey | None = None,
    seed: int | None = None,
    path: str | None = None,
) -> Iterator[str]:
    """Yield one line of JSON for each find of a text: type, rule, offset, length, digest and policy version.

    Offset and length are in characters of the original text. The digest is eight bytes of HMAC-SHA256 under the key
    (`key`, `seed` or the random one of the process, as for `redact`): equal values of a run can be counted, and a
    guess can be tested only by who has the key.

    >>> next(audit_lines("x = 'bob@corp.io'", [Finding(5, 16, "EMAIL_ADDRESS", "email")], seed=0))
    '{"type": "EMAIL_ADDRESS", "rule": "email", "offset": 5, "length": 11, "digest": "e34f17b1912d87a0", "policy": 4}'
    """
    secret = chosen_key(key, seed).secret
    for finding in findings:
        record: dict[str, str | int] = {} if path is None else {"path": path}
        record |= {
            "type": finding.type,
            "rule": finding.rule,
            "offset": finding.start,
            "length": finding.end - finding.start,
            "digest": _digest(finding.type, text[finding.start : finding.end], secret),
            "policy": POLICY_VERSION,
        }
        yield json.dumps(record, ensure_ascii=True)


def _digest(kind: str, value: str, secret: bytes) -> str:
    message = f"audit\0{kind}\0{value}".encode("utf-8", "surrogatepass")
    return hmac.digest(secret, message, hashlib.sha256)[:8].hex()
