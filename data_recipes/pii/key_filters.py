"""Sort out what only looks like a key: placeholders, hashes, words, versions and the like."""

import re
from collections import Counter
from itertools import pairwise
from math import log2

from data_recipes.pii.key_rules import CHARSETS, Rule
from data_recipes.pii.replacements import is_replacement

_PLACEHOLDER = re.compile(
    r"example|placeholder|redacted|change_?me|your[_-]|insert[_-]|replace[_-]|x{5}|(?i:\*{3}|\.{3})|[<>{}]",
    re.IGNORECASE,
)
_REPEATED = re.compile(r"([^A])\1{6}")  # base64 writes zeros as A
_ALPHABETS = (
    "0123456789abcdefghijklmnopqrstuvwxyz",
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "qwertyuiopasdfghjklzxcvbnm",
)
_ALPHABET_RUN = 10
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]+\Z")
HASH_LENGTHS = frozenset({32, 40, 56, 64, 96, 128})
"""The numbers of hexadecimal digits that hashes have."""

_HASH_WORD = re.compile(
    r"(?:sha(?![a-z])|shasum|md5|hash(?!icorp)|digest|checksum|etag|commit|revision|integrity|fingerprint|(?<![a-z])(?:crc|rev|oid|sri)(?![a-z]))",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(r"(?:api|access|auth|secret|client|private|app)[_.-]?(?:key|token|secret)", re.IGNORECASE)
_INTEGRITY = re.compile(r"sha(?:1|256|384|512)-", re.IGNORECASE)
_NUMBERS = re.compile(r"[0-9.:,_-]+\Z")
_PUBLIC_WORD = re.compile(
    r"public[_-]?key|ssh-|websocket-|(?<![a-z])(?:pub(?:[_-]?key)?(?![a-z])|[gp][gp][gp][ _-]?key)", re.IGNORECASE
)
_NO_PASSWORD = re.compile(
    r"pass(?:word|wd|phrase)|pwd|secret|\A(?:\W*\w)?\W*\Z|%[sd(]|\A[A-Z_]+\Z|\A[a-z_-]*(?:token|api_?key)[a-z_-]*\Z"
    r"|\A\$(?-i:[A-Z_][A-Z0-9_]*|[a-z_]+)\Z",
    re.IGNORECASE,
)
_NO_HOST = re.compile(
    rb"@(?i:host|hostname|server|address|ip)(?::(?i:port))?(?![A-Za-z0-9._-])|@[A-Za-z_-]+:(?i:port)\b"
)
_CODE = re.compile(r"://|[#:;|?]|\A[a-z]+[0-9]*\.[A-Z]")
_CONSTANT_NAME = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\Z")
_WORD_OF_NAME = re.compile(r"[A-Z][a-z]{2,}|[a-z]{3,}|[A-Z]{3,}")
_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_MEMBER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*(?:\.[A-Za-z_$][A-Za-z0-9_$]*)*")  # s3_object.kms_key_id
_SIGNATURE = re.compile(r"sig(?:nature)?=\Z", re.IGNORECASE)
_SHORT_HEX = 16
_FEW_DIGITS, _FEWEST = 8, 3  # of a random UUID's 32 digits some fourteen are different
_NAME_CHARS = 48
_RANDOM_A_CHAR = -0.25  # random characters have -1.2 each
_LONG = 20
_CAPITALS = re.compile(r"[A-Z]+")  # ASIAANDPACIFICREGION
_BASE64_RUN = re.compile(rb"[A-Za-z0-9+/=]{16,}")
_SHORTEST_BODY = 64
# Pairs of letters that make up 84 % of the words in Python's standard library and 22 % of random letters.
_COMMON_PAIRS = frozenset(
    re.findall(
        "..",
        "abacadaialamanaparasatbabeblbucacechcickclcoctdadedidoeaecedeeefelemeneperesetevexfafffifogehahehihoiaibicidie"
        "ifigiliminioirisitivkelalelilllolsltlulymamemimompnancndnengninonsntocodolomonoporosotouowpapeplpoppprptrarergri"
        "rmrnrorrrsrtrysaseshsisospssstsutatethtitotrtstttutyueulumunupurusutvavewawhwi",
    )
)
# Logarithms of how much likelier in words than in random characters: a pair of letters that is common or is not, a
# letter beside a digit, a change of case.
_COMMON, _UNCOMMON, _LETTER_DIGIT, _CASE = 1.34, -1.58, -1.7, -0.5


def is_key(rule: Rule, data: bytes, start: int, end: int) -> bool:
    """Tell whether what a rule matched can be a key of its kind."""
    value = data[start:end].decode("utf-8", "replace")
    if is_replacement(rule.type, value) or is_placeholder(value) or not _has_classes(value, rule.charset):
        return False
    if entropy(value) < rule.entropy:
        return False
    if rule.kind == "token" or rule.charset == "digits":
        return not _CAPITALS.fullmatch(value) or looks_random(value)
    if rule.kind == "password":
        return _is_password(value) and _NO_HOST.match(data, end) is None
    if rule.kind == "named" and value.isalpha() and not is_certain(value):
        return False
    return _is_secret(value, _name_before(data, start), is_generic=rule.kind == "generic")


def has_hash_word(name: str) -> bool:
    """Return whether a name says that its value is a hash, a checksum or a revision."""
    return _HASH_WORD.search(name) is not None


def _name_before(data: bytes, start: int) -> str:
    """What stands before a value in its line, or in the line before where the value begins its own."""
    before = data[max(0, start - _NAME_CHARS) : start].decode("utf-8", "replace")
    line = before.rpartition("\n")[2]
    return line if line.strip(" \t\r\"'`") else before


def is_block_of_key(block: bytes, header_length: int) -> bool:
    """Tell whether a block has enough of a body, and not one that the redactor wrote."""
    runs = _BASE64_RUN.findall(block, header_length)
    text = block.decode("utf-8", "replace")
    if sum(map(len, runs)) < _SHORTEST_BODY or entropy(b"".join(runs).decode()) < 3.5:
        return False
    return not is_replacement("KEY", text)


def is_placeholder(value: str) -> bool:
    """Tell whether a value says that it is none, repeats one character, or runs through an alphabet."""
    return _PLACEHOLDER.search(value) is not None or _REPEATED.search(value) is not None or _has_alphabet(value)


def is_sequence(value: str) -> bool:
    """Return whether a value counts or spells on (`Abc123Abc123`), or has few different characters.

    >>> is_sequence("12345678-1234-1234-1234-123456789abc"), is_sequence("8c2f0b3e-51d7-4f0a-9b6e-2d7c1e9a4f38")
    (True, False)
    """
    plain = value.lower().replace("-", "")
    steps = sum(ord(b) - ord(a) == 1 for a, b in pairwise(plain))
    if _HEX.match(plain) and not len(plain) % 2 and plain.isalnum() and plain[1:2] != "x":
        steps = max(steps, 2 * sum(b - a == 1 for a, b in pairwise(bytes.fromhex(plain))))  # 000102030405
    least = _FEW_DIGITS if _UUID.match(value) else _FEWEST if len(plain) >= _SHORT_HEX else 0
    return 3 * steps > len(plain) or len(set(plain)) <= least


def entropy(value: str) -> float:
    """Return Shannon's entropy of a value's characters in bits a character.

    >>> entropy("aabb")
    1.0
    """
    total = len(value)
    return -sum(count / total * log2(count / total) for count in Counter(value).values()) if value else 0.0


def looks_random(value: str) -> bool:
    """Tell whether characters follow each other as in random strings rather than as in words and names.

    >>> looks_random("Gemma4ForCausalLM"), looks_random("q7RkX0aPz2LmWc9d")
    (False, True)
    """
    if _HEX.match(value):
        return sum(a.isdigit() != b.isdigit() for a, b in pairwise(value)) * 8 >= len(value)
    return likeness_to_words(value) < 0


def is_certain(value: str) -> bool:
    """Return whether a value is random beyond doubt, though it has few digits."""
    return likeness_to_words(value) < 2 * _RANDOM_A_CHAR * len(value)


def is_of_words(value: str) -> bool:
    """Return whether a value is made of words and abbreviations, as names of programs are, with few digits.

    >>> is_of_words("hexPKCS8TestPKCS1Key"), is_of_words("q7RkX0aPz2LmWc9d")
    (True, False)
    """
    digits = sum(map(str.isdigit, value))
    in_words = sum(map(len, _WORD_OF_NAME.findall(value)))
    is_mixed = not value.islower() and not value.isupper()
    return is_mixed and value.isalnum() and 6 * digits < len(value) and 10 * in_words >= 9 * (len(value) - digits)


def likeness_to_words(value: str) -> float:
    """Return the logarithm of a likelihood: above 0 for words and names, below for random characters."""
    score = 0.0
    for a, b in pairwise(value):
        if a.isalpha() and b.isalpha():
            score += _COMMON if (a + b).lower() in _COMMON_PAIRS else _UNCOMMON
            score += _CASE if a.islower() != b.islower() else 0.0
        elif a.isalnum() and b.isalnum() and a.isalpha() != b.isalpha():
            score += _LETTER_DIGIT
    return score


def _is_secret(value: str, before: str, *, is_generic: bool) -> bool:
    if _NUMBERS.match(value) or _INTEGRITY.match(value):
        return False
    if not is_generic:
        return looks_random(value) and not _is_hash(value, before)
    if _PUBLIC_WORD.search(before) or _CODE.search(value) or _CONSTANT_NAME.match(value):
        return False
    if _UUID.match(value):
        return _SECRET_NAME.search(before) is not None
    if _HEX.match(value) and _SIGNATURE.search(before):
        return False  # of one request
    return _is_secret_hex(value, before) if _HEX.match(value) else _is_far_from_words(value)


def _is_secret_hex(value: str, before: str) -> bool:
    """Whether hexadecimal digits are many, mixed, and not said to be a hash."""
    # Differs from the report: a file that often says "sha" or "hash" keeps its other keys no more than any file.
    if len(value) <= _SHORT_HEX or not looks_random(value):
        return False
    return not _is_hash(value, before)


def _is_hash(value: str, before: str) -> bool:
    return len(value) in HASH_LENGTHS and _HEX.match(value) is not None and _HASH_WORD.search(before) is not None


def _is_far_from_words(value: str) -> bool:
    """Whether a value is random beyond doubt, or a word of letters and about as many digits."""
    count = sum(char.isdigit() for char in value)
    if _MEMBER.fullmatch(value) and ((8 * count < len(value) and not is_certain(value)) or is_of_words(value)):
        return False
    if value.isalnum() and 3 * count >= len(value) >= _LONG:
        return True
    if not count and len(value) < _LONG:
        return False
    return likeness_to_words(value) < (_RANDOM_A_CHAR if count else 2 * _RANDOM_A_CHAR) * len(value)


def _is_password(value: str) -> bool:
    """Whether a value can be somebody's password and not the name of one."""
    return _NO_PASSWORD.search(value) is None and (not value.isalpha() or looks_random(value))


def _has_classes(value: str, charset: str) -> bool:
    """Whether a value has the kinds of character that a random one of its charset has."""
    classes = CHARSETS[charset]
    needed = len(classes) if len(value) >= (32 if len(classes) > 2 else 20) else len(classes) - 1
    return sum(re.search(one, value) is not None for one in classes) >= needed


def _has_alphabet(value: str) -> bool:
    lower = value.lower()
    step = _ALPHABET_RUN
    return any(lower[at : at + step] in alphabet for at in range(len(lower) - step + 1) for alphabet in _ALPHABETS)
