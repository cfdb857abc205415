"""Tell from a name what its value is: a key, a password, a user name, or none of them."""

import re
from functools import lru_cache

TYPE_OF_ROLE = {"strong": "KEY", "weak": "KEY", "PASSWORD": "PASSWORD", "USERNAME": "USERNAME"}
"""The type of a value whose name says `strong` (surely a key), `weak` (perhaps one), a password or a user name."""

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATOR = re.compile(r"[^A-Za-z0-9]+")
# Words at the end of a name that change nothing about what it names.
_NEUTRAL = re.compile(
    r"base|value|val|str|string|default|prod|production|dev|development|tests?|testing|staging|stage|live|env|old|new"
    r"|current|b?64|base64|hex|raw|data|id|v?[0-9]+|[abcx]"
)
# With one of these at its end, a name is that of something about a secret.
_ABOUT = re.compile(
    r"names?|paths?|files?|filename|dir|folder|ur[li]|endpoint|host|types?|headers?|fields?|label|placeholder|prefix"
    r"|suffix|len|length|size|count|ttl|timeout|expiry|expires|expiration|format|alias|ref|column|class|errors?|message"
    r"|msg|title|desc|description|regex|pattern|hint|help|var|variable|mode|kind|status|algorithm|alg|version|index|idx"
    r"|handler|input|form|button|icon|selector|event|action|method|func|function|provider|policy|store|manager|generator"
    r"|list|map|set|array|object|model|config|options|params|arguments?|property|attr|attribute|schema|encoding|charset"
    r"|usage|scopes?|confirm|confirmation|strength|required|enabled|reset|forgot|lookup|text|tooltip|image|css|codes?"
)
# With one of these in it, a name is that of something everyone may know, or of something else.
_PUBLIC = re.compile(
    r"public|pub|primary|foreign|cache|sort|partition|row|column|i18n|locale|translation|checksum|digest|sha[0-9]{0,3}"
    r"|md5|integrity|etag|commit|revision|fingerprint|page|next|cursor|continuation|placeholder|dummy|css|style|query"
    r"|react|websocket|tree|object|lookup|shortcut|keyboard|hot|fuzz|rng|noise"
)
_LAST_OF_SECRET, _OF_SECRET = frozenset({"salt", "pepper"}), frozenset({"secret", "private", "encryption"})
# An identifier that everyone sees, or a number by which a request is told from its repetition.
_IDENTIFIES = re.compile(
    r"(?:^|_)(?:key|client|app)_?id$|client_request_token$|change_token$|action_token$|idempotency|row_key$"
)
_STRONG = re.compile(
    r"(?:^|_)[a-z]{0,12}(?:secrets?|token|apikey|secretkey|accesskey|authkey|privatekey|appkey|clientkey|masterkey|pepper"
    r"|salt|credentials?|creds?|passphrase|psk|hmac|encrypt|jwt)$"
    r"|(?:^|_)(?:api|app|secret|access|private|auth|client|consumer|signing|sign|encryption|crypt|crypto|master|account"
    r"|license|deploy|service|session|shared|preshared|jwt|hmac|fernet|cookie|validation|decryption|machine|server|sdk"
    r"|webhook|write|admin|user|rest|subscription|internal|upgrade|instrumentation|storage|integration|project|developer"
    r"|partner|merchant|vapid|otp|security|wg|encrypted|aes|rsa|maps|registration|openssl)_?key$"
)
_WEAK = re.compile(
    r"(?:^|_)(?:keys?|nonce|seed|session|cookie|auth|authorization|bearer|api|access|client|cert|certificate|licen[cs]e)$"
)
_PASSWORD = re.compile(
    r"(?:^|_)[a-z0-9]{0,12}(?:password|passwd|passwort|pass_?phrase|passcode|pwd|pswd)$"
    r"|(?:^|_)(?:db|smtp|ssh|mail|mysql|pg|redis|require|ftp|ldap|user|root|admin|bind|key|store|my|auth|http|vnc|proxy"
    r"|sudo|become|wifi|imap|pop|mqtt|amqp|rabbit|mongo|sql|basic|login)?(?:pass|pw)$|(?:^|_)psk$"
)
_USER = re.compile(r"(?:^|_)(?:user|username|user_name|login|userid|account_name)$")


@lru_cache(1 << 15)
def role_of(name: str, *, is_user: bool = False) -> str | None:
    """Return what a name says of its value, a key of `TYPE_OF_ROLE`; None for nothing. `is_user` asks for user names.

    >>> role_of("SECRET_KEY_BASE"), role_of("key"), role_of("db.password"), role_of("keyword")
    ('strong', 'weak', 'PASSWORD', None)
    """
    words = name_words(name)
    if not words or _ABOUT.fullmatch(words[-1]) or _IDENTIFIES.search("_".join(words)):
        return None
    core = _core(words)
    if is_user:
        return "USERNAME" if _USER.search(core) else None
    if _PASSWORD.search(core):
        return "PASSWORD"
    last = name_words(name.rpartition(".")[2])
    is_secret = words[-1] in _LAST_OF_SECRET or not _OF_SECRET.isdisjoint(words)  # PublicLinkSalt, NEXT_PRIVATE_KEY
    if not is_secret and any(_PUBLIC.fullmatch(word) for word in last):
        return None
    if _STRONG.search(core):
        return "strong"
    return "weak" if _WEAK.search(core) else None


def name_words(name: str) -> list[str]:
    """Return the words of a name, in lower case.

    >>> name_words("config.dbPassword"), name_words("SECRET_KEY_BASE")
    (['config', 'db', 'password'], ['secret', 'key', 'base'])
    """
    return [word.lower() for part in _SEPARATOR.split(name) for word in _CAMEL.split(part) if word]


def _core(words: list[str]) -> str:
    left = list(words)
    while len(left) > 1 and _NEUTRAL.fullmatch(left[-1]):
        left.pop()
    return "_".join(left)
