"""Labelled cases for the bench of redaction: values made up from documented formats, in lines of code as people write them.

Each value stands once in a text; what a detector should find is known because it was put there. The hard negatives
are what source code is full of and what looks alike: hashes, identifiers, versions, placeholders, public keys.
"""

import random
import uuid
from base64 import b64encode
from dataclasses import dataclass
from string import ascii_letters, ascii_lowercase, digits

from data_recipes.pii.key_rules import Rule, key_rules
from tests.fixtures.key_samples import sample


@dataclass(frozen=True)
class Case:
    """A text, its source, and where the one value of this type stands; no span in a negative."""

    type: str
    source: str
    text: str
    span: tuple[int, int] | None = None


KEY_LINES = [
    '{name} = "«»"',
    "{name} = '«»'  # do not commit",
    'self.{name} = os.getenv("{NAME}", "«»")',
    'client = Client({name}="«»", timeout=30)',
    'config = {"{name}": "«»", "debug": True}',
    '{\n  "{name}": "«»",\n  "region": "eu-west-1"\n}',
    "{name}: «»\n",
    '{name}: "«»"\n',
    "export {NAME}=«»\n",
    "{NAME}=«»\nDEBUG=1\n",
    'ENV {NAME}="«»"\n',
    "const {camel} = '«»';",
    'const options = { {camel}: "«»", retries: 3 };',
    'private static final String {NAME} = "«»";',
    'String {camel} = "«»";',
    '{camel} := "«»"',
    'var {camel} string = "«»"',
    'public string {Pascal} { get; set; } = "«»";',
    '{name} = "«»"\nregion = "eu"\n',
    "<{camel}>«»</{camel}>",
    '<add key="{Pascal}" value="«»" />',
    "{name}.value=«»\n",
    "$config['{name}'] = '«»';",
    "config.{name} = '«»'",
    'define("{NAME}", "«»");',
    '# old {name}: "«»"',
    'print(f"{name}=«»&page=1")'.replace("f", ""),
    'curl -H "{Header}: «»" https://api.corp.io/v1/items',
    'run --{flag} "«»"',
    '    {name}:   "«»",\r\n    other: 1\r\n',
]
TOKEN_LINES = [
    *KEY_LINES,
    "Bot('«»').run()",
    "// TODO remove «» before release",
    "login «»\n",
    'auth("«»")',
    "[«»]",
    '"text\\n«»\\n"',
    "😀 = '«»'",
    "«»",
]
GENERIC_NAMES = ["api_key", "secret_key", "access_token", "client_secret", "auth_token", "private_key", "app_secret"]
WORDS = ["user", "order", "cache", "page", "theme", "locale", "widget", "report", "field", "index", "editor", "layout"]


def key_cases(count: int, seed: int = 1) -> list[Case]:
    """Keys of every rule, each in its own format and several lines; by source `token`, `named`, `structure`, `generic`."""
    draw, cases = random.Random(seed), []
    rules = [rule for rule in key_rules() if rule.type == "KEY"]
    while len(cases) < count:
        for rule in rules:
            cases.append(_rule_case(rule, draw))
            cases.append(_generic_case(draw))
    draw.shuffle(cases)
    return cases[:count]


def _rule_case(rule: Rule, draw: random.Random) -> Case:
    text, value = sample(draw.choice(rule.samples), draw.randrange(1 << 30))
    if rule.kind == "token" and text == value:
        return _in_line("KEY", "token", draw.choice(TOKEN_LINES), _name(rule), value)
    if rule.kind == "named" and text.count(value) == 1 and ' = "' in text:
        return _in_line("KEY", "named", draw.choice(KEY_LINES), text.partition(" = ")[0], value)
    start = text.index(value)
    return Case("KEY", "structure", text, (start, start + len(value)))


def _generic_case(draw: random.Random) -> Case:
    length = draw.choice([20, 24, 32, 40, 48, 64])
    alphabet = draw.choice(
        [ascii_letters + digits, ascii_letters + digits + "-_", "0123456789abcdef", ascii_lowercase + digits]
    )
    value = "".join(draw.choices(alphabet, k=length))
    value = "a" + value[1:-1] + "z" if alphabet != "0123456789abcdef" else value
    return _in_line("KEY", "generic", draw.choice(KEY_LINES), draw.choice(GENERIC_NAMES), value)


def _name(rule: Rule) -> str:
    return rule.id.replace("-", "_")


def _in_line(kind: str, source: str, line: str, name: str, value: str) -> Case:
    """The line with the value in its place and the name as the language writes it."""
    words = name.split("_")
    pascal = "".join(word.capitalize() for word in words)
    names = {
        "{name}": name,
        "{NAME}": name.upper(),
        "{camel}": pascal[:1].lower() + pascal[1:],
        "{Pascal}": pascal,
        "{flag}": name.replace("_", "-"),
        "{Header}": "X-" + "-".join(word.capitalize() for word in words),
    }
    for mark, written in names.items():
        line = line.replace(mark, written)
    start = line.index("«")
    return Case(kind, source, line.replace("«»", value), (start, start + len(value)))


def key_negatives(count: int, seed: int = 2) -> list[Case]:
    """What looks like a key and is none."""
    draw = random.Random(seed)

    def hexes(n: int) -> str:
        return "".join(draw.choices("0123456789abcdef", k=n))

    def plain(n: int) -> str:
        return "".join(draw.choices(ascii_letters + digits, k=n))

    def words(n: int, glue: str = "_") -> str:
        return glue.join(draw.choices(WORDS, k=n))

    makers = [
        lambda: f'"integrity": "sha512-{b64encode(draw.randbytes(64)).decode()}",',
        lambda: f'sha256 = "{hexes(64)}"',
        lambda: f"commit {hexes(40)}\n",
        lambda: f'<script integrity="sha384-{b64encode(draw.randbytes(48)).decode()}"></script>',
        lambda: f'ETag: "{hexes(32)}"',
        lambda: f'md5sum = "{hexes(32)}"',
        lambda: f'id = "{uuid.UUID(bytes=draw.randbytes(16))}"',
        lambda: f"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ{plain(120)} bob@host",
        lambda: f'public_key = "{b64encode(draw.randbytes(32)).decode()}"',
        lambda: f"-----BEGIN CERTIFICATE-----\n{plain(64)}\n{plain(64)}\n-----END CERTIFICATE-----",
        lambda: f'cache_key = "{words(4)}"',
        lambda: f'TOKEN_NAME = "{words(3, "-")}-token"',
        lambda: f"KEY_{words(2).upper()} = '{words(4, '.')}'",
        lambda: 'api_key = "your_api_key_here"',
        lambda: f'secret_key = "{"x" * draw.randint(16, 40)}"',
        lambda: 'token = "${API_TOKEN}"',
        lambda: f'password = getpass("{words(2, " ")}")',
        lambda: 'alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"',
        lambda: f"background: url(data:image/png;base64,iVBORw0KGgo{plain(200)})",
        lambda: f"<path d='M{draw.random():.6f} {draw.random():.6f}L{draw.random():.6f}'/>",
        lambda: (
            f'version = "{draw.randint(1, 9)}.{draw.randint(0, 20)}.{draw.randint(0, 20)}-beta.{draw.randint(1, 9)}"'
        ),
        lambda: f'primary_key = "{words(3)}_id"',
        lambda: f'tokenizer = "{words(2, "-")}-{draw.randint(1, 9)}b-v{draw.randint(1, 9)}.{draw.randint(0, 9)}"',
        lambda: (
            f'"dependencies": {{"{words(2, "-")}": "^{draw.randint(1, 9)}.{draw.randint(0, 9)}.{draw.randint(0, 9)}"}}'
        ),
        lambda: f'const keyframes = "{words(3, "")}{draw.randint(10, 99)}";',
        lambda: f"throw new {''.join(w.capitalize() for w in draw.choices(WORDS, k=4))}Exception(key);",
        lambda: f'export const KEY = Symbol("{words(4, "")}")',
        lambda: f"https://user:password@{words(1)}.example.com/",
        lambda: f'"token_endpoint": "https://auth.corp.io/{words(3, "/")}"',
        lambda: f"keywords: {words(8, ' ')}",
    ]
    return [Case("KEY", "negative", makers[number % len(makers)]()) for number in range(count)]


MAIL_LINES = [
    "__author__ = 'Bob <«»>'",
    'author_email="«»",',
    " * @author Bob («»)",
    "# «»",
    "// Copyright (c) 2020 Bob <«»>",
    '{"email": "«»", "name": "Bob"}',
    "<a href='mailto:«»?subject=hi'>mail</a>",
    "mailto=«»",
    'to: ["«»", "x"]',
    "send(«», now)",
    "text = 'write to «».'",
    '"\\n«»\\n"',
    "-----\r\n«»\r\n",
    "Reported-by: Bob B. <«»>",
    "- email: «»\n",
    "«»",
    "user=«»;port=1",
    "😀 «»",
]
LOCALS = ["bob", "bob.builder", "b.b+list", "bob_99", "info-2", "BOB", "o2", "jürgen", "bob.b.c", "x", "first.last+tag"]
DOMAINS = [
    "corp.io",
    "mail.corp.co.uk",
    "uni-bonn.de",
    "gmail.com",
    "corp.museum",
    "münchen.de",
    "sub.a-b.org",
    "163.com",
]
IP_LINES = [
    "host = '«»'",
    "ping «»\n",
    "http://«»:8080/index.html",
    "https://«»/",
    'connect("«»", 80)',
    "# server at «»",
    "[«»]",
    "listen «»;",
    "server «» weight=5;",
    "'«»',",
    '"\\n«»"',
    "ssh root@«»",
    "ALLOWED_HOSTS = ['localhost', '«»']",
    "«»",
    "address=/ads.corp.io/«»\n",
    "route add «» via eth0",
    "<ip>«»</ip>",
    "nameserver «»\r\n",
]


def mail_cases(count: int, seed: int = 3) -> list[Case]:
    """E-mail addresses in lines of code."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        value = f"{draw.choice(LOCALS)}@{draw.choice(DOMAINS)}"
        made.append(_in_line("EMAIL_ADDRESS", "mail", MAIL_LINES[number % len(MAIL_LINES)], "name", value))
    return made


def mail_negatives(count: int, seed: int = 4) -> list[Case]:
    """What has an @ and is no address of a person."""
    draw = random.Random(seed)
    makers = [
        lambda w: f"git@github.com:{w}/{w}.git",
        lambda w: f"https://{w}:pw@github.com/{w}.git",
        lambda w: f"@{w}.setter\ndef {w}(self): ...",
        lambda w: f"npm install {w}@{draw.randint(1, 9)}.{draw.randint(0, 9)}.{draw.randint(0, 9)}",
        lambda w: f"cdn/{w}@4.17.21/{w}.min.js",
        lambda w: f"y = {w}@b.dot(c)",
        lambda w: f"'%s@{w}.com' % name",
        lambda w: f"f'{{{w}}}@corp.com'",
        lambda w: f"{w}@2x.png",
        lambda w: f"ssh-ed25519-cert-v01@openssh.com {w}",
        lambda w: f"{w}@example.com",
        lambda w: f"@media screen {{ .{w} {{ color: red }} }}",
        lambda w: f"{w}@localhost",
        lambda w: f"import x from '@{w}/core'",
        lambda w: f"W1@{w}.data",
        lambda w: f"* @param {w} the @{{link {w}}}",
    ]
    return [Case("EMAIL_ADDRESS", "negative", makers[n % len(makers)](draw.choice(WORDS))) for n in range(count)]


def ip_cases(count: int, seed: int = 5) -> list[Case]:
    """Public IP addresses in lines of code."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        quad = f"{draw.choice([5, 37, 51, 93, 104, 185, 203])}.{draw.randint(60, 255)}.{draw.randint(0, 255)}.{draw.randint(1, 254)}"
        groups = ":".join(f"{draw.randrange(1 << 16):x}" for _ in range(5))
        value = (
            quad if draw.random() < 0.7 or IP_LINES[number % len(IP_LINES)].startswith("http") else f"2a02:{groups}::1"
        )
        made.append(_in_line("IP_ADDRESS", "address", IP_LINES[number % len(IP_LINES)], "name", value))
    return [case for case in made if not case.text.startswith("http://2")]


def ip_negatives(count: int, seed: int = 6) -> list[Case]:
    """Versions, object identifiers, slices, scopes, clocks and addresses of no public range."""
    draw = random.Random(seed)

    def four(high: int = 20) -> str:
        return ".".join(str(draw.randint(0, high)) for _ in range(4))

    makers = [
        lambda: f"__version__ = '{four(99)}'",
        lambda: f'"version": "{four()}"',
        lambda: f"ObjectIdentifier('2.5.29.{draw.randint(1, 60)}')",
        lambda: f"OID 1.3.6.1.{draw.randint(1, 9)}.{draw.randint(1, 99)}",
        lambda: f"see section {four()}",
        lambda: f"JLS {four()}",
        lambda: f"Chrome/{draw.randint(60, 120)}.0.{draw.randint(1000, 4999)}.{draw.randint(10, 99)}",
        lambda: f"pip install x=={four(60)}",
        lambda: f"lib-{four(60)}.jar",
        lambda: f"a[::{draw.randint(2, 9)}], b[1::{draw.randint(2, 9)}]",
        lambda: f"std::vec::{draw.choice(WORDS)}",
        lambda: f"{draw.randint(10, 23)}:{draw.randint(10, 59)}:{draw.randint(10, 59)}",
        lambda: f"host = '10.{draw.randint(0, 255)}.0.1'",
        lambda: f"host = '192.168.{draw.randint(0, 255)}.1'",
        lambda: "bind('127.0.0.1', 80)",
        lambda: "nameserver 8.8.8.8",
        lambda: f"fe80::{draw.randrange(1 << 16):x}:1:2",
        lambda: f"M{four()}L{four()}",
        lambda: f"00:1b:{draw.randrange(16, 255):x}:11:3a:b7",
        lambda: f"assemblyVersion('{four()}')",
    ]
    return [Case("IP_ADDRESS", "negative", makers[number % len(makers)]()) for number in range(count)]


def all_cases(count: int = 300) -> list[Case]:
    """Positives and negatives of the three types; keys four times as many, for their formats are many."""
    return [
        *mail_cases(count),
        *mail_negatives(count),
        *ip_cases(count),
        *ip_negatives(count),
        *key_cases(4 * count),
        *key_negatives(2 * count),
    ]
