"""Decide whether the value of a name such as `api_key` is really a key, a password or a user name.

Words, identifiers, paths, versions, hashes that are called hashes, public keys and placeholders are none, whatever they
are called.
"""

import base64
import re
from string import ascii_letters, digits

from data_recipes.pii.assignments import Assignment
from data_recipes.pii.key_filters import (
    HASH_LENGTHS,
    has_hash_word,
    is_certain,
    is_of_words,
    is_placeholder,
    is_sequence,
    likeness_to_words,
    looks_random,
)
from data_recipes.pii.replacements import is_replacement

_NOBODY = re.compile(
    r"admin(?:istrator)?|root|user|username|guest|anonymous|nobody|postgres|mysql|test|tester|testuser|demo|default|none"
    r"|null|true|false|string|undefined|required|optional|text|name|login|email|system|ubuntu|www-data|oracle|sa|app"
    r"|service|operator|public|owner|me|you|self",
    re.IGNORECASE,
)
_WRAPPER = re.compile(r"(?:base64:|hex2bin:|hex:|\{noop\}|django-insecure-|[Bb]earer |[Bb]asic |[Tt]oken )")
_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]+\Z")
_ACCOUNT = re.compile(r"0x[0-9a-fA-F]{40}\Z")  # on a blockchain; its key has 64 digits
_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,16}[uUlL]{0,3}\Z")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_PRINTABLE = re.compile(r"[\x21-\x7e]+\Z|[\x20-\x7e]{40,}\Z")
_INTERPOLATED = re.compile(
    r"\$\{|\{\{|<%|%\([A-Za-z_]\w*\)|#\{[A-Za-z_]|\$\([A-Za-z_][^()]*\)|\A\$[A-Za-z_]\w*\Z|\A[<\[({].*[>\])}]\Z|\A%\w+%\Z"
)
_PUBLIC_VALUE = re.compile(
    r"AAAA[A-Z][0-9]N|AAAAE2VjZHNh|AAAAC3Nz|MII[A-Z][A-Za-z0-9]{2}ANBg|MFkwEwYH|MCowBQYD|LS0tLS1CRUdJTiBD"
    r"|sha(?:1|256|384|512)-|data:"
)
_URL = re.compile(r"://|\A(?:[0-9A-Fa-f]{2}:){2}|\A[./~]{0,2}/[A-Za-z]|\A[A-Za-z]:\\|@[a-z0-9-]+\.[a-z]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ]|\Z)")
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:(?:\.|::|->|/|-)[A-Za-z_][A-Za-z0-9_]*)+\Z")
_WORDS = re.compile(r"[A-Za-z]+[0-9]?(?:[-_./ :][A-Za-z]+[0-9]?)*\Z")
_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*\Z")
_NUMBERS = re.compile(r"[0-9.:,_/ -]+\Z")
_SOFT, _OF_CODE = frozenset("-_./:+=,~ "), frozenset("(){}[]<>;|\"'")
_SAYS_NONE = re.compile(
    r"pass(?:word|wd|phrase)|pwd|secret|change.?me|your|example|placeholder|redacted|\*{3}|\.{3}|x{5}|%(?:[sd](?![A-Za-z0-9])|\()|insert|here"
    r"|dummy",
    re.IGNORECASE,
)
_CODE = re.compile(r"\)\(|\),|\}\)|=>|===|&&|\|\||\(0,|[a-z]\(")  # minified
_OPERATION = re.compile(r"\*\*|[+*/%|-](?:self|this|[A-Za-z_]\w*\.[A-Za-z_])|\A[0-9]+(?:\.[0-9]*)?[*/+-]+[A-Za-z_]")
_CONSTANT = re.compile(r"[A-Z_]+\Z")
_EXCLAIMED = re.compile(r"[A-Za-z0-9]{3,}(?:![A-Za-z0-9]+)*!?\Z")  # `sommer!nacht`; no operator has this form
_MADE_UP = re.compile(r"(?=.*[0-9]{3})(?=.*[!@#^&*])(?!.*(?i:your|example|change))[\x21-\x7e]{10,}\Z")
_TYPE_NAME = re.compile(
    r"(?:u?int|float|utf|str|string|varchar|char|text|sha|md|aes|base|vec|bool)(?:[0-9]{1,3}|\([0-9, ]{1,8}\))\Z",
    re.IGNORECASE,
)
_USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{2,40}\Z")
_NO_USER = re.compile(r"(?i:user|name|login|admin|root|test|example|your|email|account)|[a-z][A-Z]|\.\w+\.|_id\Z")
# Texts of other languages, written in escapes; formats and expressions; versions; paths of the registry; words with "=".
_ESCAPED_LETTER = re.compile(r"\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8}|\\x[89A-Fa-f][0-9A-Fa-f]|&#x?[0-9A-Fa-f]+;")
_FORMAT = re.compile(r"\{(?:[A-Za-z_]\w*|[0-9]?)(?:[.:!\[(][^{}]*)?\}")
_EXPRESSION = re.compile(r"a-z|A-Z|0-9\]|\[0-9a-f|\[0-9A-F|\]\{[0-9]|\\[dws][+*{]")
_NO_VALUE = re.compile(
    r"[\w.-]+[=<>~!]=[0-9]|[0-9]+(?:\.[0-9]+)+[+-]|[A-Za-z_]\w*(?:\\{1,2}[A-Za-z]\w*)+\Z|[A-Za-z][A-Za-z0-9]{1,9}=[0-9a-fA-F-]{8}"
    r"|(?:ENC|NACL|PKCS7|GPG)[\[(]|/[0-9a-fA-F]{8}-|(?i:aes|sha|hmac|rsa|des|ecdsa)[-_]?[0-9]{2,5}[-_A-Za-z0-9]{0,12}\Z"
)
_SENTENCE = re.compile(r"[A-Za-z,.!?'{}\":]+(?: [A-Za-z0-9,.!?'{}\":-]+)+\s*\Z")
_OF_THING = re.compile(
    r"(?<![Ss]ecret)(?:I[dD]|[_.-]id)(?:_?(?:hex|b64|base64|str))?\Z"
)  # credentialsId; Vault's secret_id is a secret
_CONSTANT_NAME = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\Z")
_LONG, _SHORT = 20, 16
_OF_BASE64 = frozenset(ascii_letters + digits + "+/=")
# Random letters and digits have about -1.2 each.
_CERTAIN = -0.5


def is_value(role: str, name: str, found: Assignment) -> bool:
    """Return whether a value can be what its name says (see `role_of`), and is none that the redactor wrote."""
    value = found.value
    if role == "USERNAME":
        is_plain = found.is_quoted or name.isupper() or any(map(str.isdigit, value))
        return is_plain and _is_user(value) and not is_replacement("USERNAME", value)
    if role == "PASSWORD":
        is_sure = found.is_quoted and not found.is_call
        is_number = _HEX.match(value) and _OF_THING.search(name)
        return not is_number and _is_password(value, is_sure=is_sure) and not is_replacement("PASSWORD", value)
    if not _PRINTABLE.match(value) or any(shape.match(value) for shape in (_PUBLIC_VALUE, _NO_VALUE)):
        return False
    if any(shape.search(value) for shape in (_INTERPOLATED, _ESCAPED_LETTER, _EXPRESSION)):
        return False
    is_format = len(value) < 2 * _LONG and _FORMAT.search(value)
    if is_format or (_CONSTANT_NAME.match(value) and not found.is_quoted) or _is_of_bytes(value):
        return False
    return _is_secret(value, name, found, is_strong=role == "strong") and not is_replacement("KEY", value)


def _is_of_bytes(value: str) -> bool:
    return value.count("\\") > len(value) // 16 + 1


def is_surely_random(value: str) -> bool:
    """Return whether a password was drawn by a machine: it is then a key to whoever looks for keys alone."""
    is_long = len(value) >= 10 and any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return is_long and not is_sequence(value) and likeness_to_words(value) < -0.25 * len(value)


def _is_secret(value: str, name: str, found: Assignment, *, is_strong: bool) -> bool:
    """Return whether a value is random: beyond doubt where its name is weak, or where it may be an identifier."""
    core = _WRAPPER.sub("", value, count=1)
    if len(core) < 8 or _is_something_else(core, name):
        return False
    if _UUID.match(core):  # behind a comma it begins the next line of a table of numbers and names
        return is_strong and not found.is_separated
    if _HEX.match(core):
        return _is_secret_hex(core, name, is_strong=is_strong)
    hard = {char for char in core if not char.isalnum()} - _SOFT
    if len(hard) >= (2 if is_strong and " " not in core else 3) and found.is_quoted:
        return _is_symbolic(core, hard, is_strong=is_strong)
    return not (hard & _OF_CODE or " " in core or is_placeholder(core)) and _is_random(core, found, is_strong=is_strong)


def _is_sentence_in_base64(core: str) -> bool:
    """Return whether a value is base64 of words with spaces between."""
    try:
        text = base64.b64decode(core + "=" * (-len(core) % 4), validate=True).decode("ascii")
    except ValueError:
        return False
    return _SENTENCE.match(text) is not None


def _is_something_else(core: str, name: str) -> bool:
    """Return whether a value is of digits or of words, counts on, or is the number of a thing or of an account."""
    if any(shape.search(core) for shape in (_URL, _DATE)):
        return True
    if any(shape.match(core) for shape in (_NUMBERS, _WORDS, _NUMBER, _ACCOUNT)) or is_sequence(core):
        return True
    if _OF_THING.search(name) and (_UUID.match(core) or _HEX.match(core)):
        return True
    return _is_sentence_in_base64(core)


def _is_random(core: str, found: Assignment, *, is_strong: bool) -> bool:
    digits = sum(map(str.isdigit, core))
    is_bare = not found.is_quoted or found.is_call
    if found.is_call and not is_strong and (len(core) < _LONG or not set(core) <= _OF_BASE64):
        return False  # a look at what a name stands for: get_key("…")
    is_path = _PATH.match(core) is not None and digits * 8 < len(core) and not is_certain(core)
    if is_path or is_of_words(core) or (is_bare and (digits < 2 or len(core) < _SHORT)):
        return False
    if core.isalnum() and 3 * digits >= len(core) >= _LONG:
        return True
    if (not is_strong and len(core) < _SHORT) or (not digits and (len(core) < _LONG or not is_strong)):
        return False
    least = -0.25 if is_strong else -0.35
    if not digits or len(core) < _SHORT:
        least = _CERTAIN
    return likeness_to_words(core) < least * len(core)


def _is_secret_hex(core: str, name: str, *, is_strong: bool) -> bool:
    if len(core) < _SHORT or not looks_random(core) or has_hash_word(name):
        return False
    return is_strong or (len(core) not in HASH_LENGTHS and len(core) > _SHORT)


def _is_symbolic(core: str, hard: set[str], *, is_strong: bool) -> bool:
    """Return whether a value with symbols is random and no expression, format or sentence."""
    letters, digits = sum(map(str.isalpha, core)), sum(map(str.isdigit, core))
    if len(core) < 12 or not letters or digits + len(hard) < 4 or (not is_strong and _CODE.search(core)):
        return False
    longest = max(map(len, re.findall("[a-z]+", core)), default=0)
    likeness = likeness_to_words(core)
    is_no_word = longest < 7 + len(core) // _LONG or likeness < 1.4 * _CERTAIN * letters
    return is_no_word and likeness < (-0.15 if is_strong else -0.3) * letters


def _is_password(value: str, *, is_sure: bool) -> bool:
    """Return whether a value can be somebody's password; `is_sure` where it is a literal and no word of a program."""
    if not 4 <= len(value) <= 128 or " " in value or is_placeholder(value):
        return False
    if _SAYS_NONE.search(value) and not _MADE_UP.match(value):
        return False
    if any(shape.search(value) for shape in (_URL, _INTERPOLATED, _ESCAPED_LETTER, _FORMAT)) or not re.search(
        r"\w\W*\w", value
    ):
        return False
    if any(word.fullmatch(value) for word in (_CONSTANT, _NOBODY, _TYPE_NAME)):
        return False
    if _UUID.match(value) or _NUMBER.match(value):  # the number of a right, of a structure or of an error
        return False
    return _is_literal_password(value) if is_sure else _is_bare_password(value)


def _is_literal_password(value: str) -> bool:
    if value.isalpha():
        return value.isascii() and looks_random(value)
    plain = value.strip("_")
    return not _WORDS.match(plain) or plain[-1].isdigit()


def _is_bare_password(value: str) -> bool:
    """Return whether a value without quotes is more likely a password than a part of a program."""
    has_both = (any(map(str.isdigit, value)) and any(map(str.isalpha, value))) or _EXCLAIMED.match(value) is not None
    if len(value) < 6 or not has_both or _PATH.match(value) or _OF_CODE & set(value) or _OPERATION.search(value):
        return False
    if not _IDENTIFIER.match(value):
        return True
    # `maple1999`, not `argument1` or `to_base64`
    return "_" not in value[1:-2] and (sum(map(str.isdigit, value)) >= 2 or likeness_to_words(value) < 0)


def _is_user(value: str) -> bool:
    if (
        not _USER_NAME.match(value)
        or _NUMBER.match(value)
        or _NOBODY.fullmatch(value)
        or value.isdigit()
        or is_placeholder(value)
    ):
        return False
    return not (_CONSTANT.match(value) or _NO_USER.search(value))
