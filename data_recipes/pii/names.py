"""Find person names where source code gives them: before an address, after "author", in paths.

No list of names and no model is used: the place says that a name stands there, the words say whether it is a person's.
A name that is found once is found everywhere in the text.
"""

import re
from collections.abc import Iterator

from data_recipes.pii.finding import Span

_PARTICLE = r"(?:de|da|di|do|dos|du|del|della|der|den|van|von|zu|zur|el|al|bin|ibn|la|le|ten|ter|af|av|y|e)"
_CAPITAL = r"[^\W\d_a-zß-öø-ÿа-яёα-ω]"
_MARK = "\u0300-\u036f\u0591-\u05c7\u064b-\u0670\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u200c\u200d"
_WORD = (
    rf"(?:(?:{_CAPITAL}\.)+|(?:Jr|Sr|St)\.|{_CAPITAL}[^\W\d_{_MARK}]*(?:[{_MARK}][^\W\d_]*)*(?:['\u2019-]+[^\W\d_]+)*)"
)
_UNSPACED = r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{2,8}"
_NAME = rf"{_WORD}(?:[ \u00a0]+(?:{_PARTICLE}[ \u00a0]+)*{_WORD}){{0,4}}"
_SEVERAL = rf"(?:{_WORD}(?:[ \u00a0]+(?:{_PARTICLE}[ \u00a0]+)*{_WORD}){{1,4}}|{_UNSPACED})"
_PLACES = (
    (
        re.compile(
            rf"(?P<name>{_NAME})[\"']?[ \t]+[<(\[]{{1,2}}(?:mailto:)?[^\s<>@()\[\]]{{0,63}}[\w+](?:@| ?[(\[]at[)\]] ?)[\w\[]"
        ),
        "name-of-address",
    ),
    (
        re.compile(
            rf"^[^\w\n]{{0,8}}(?:[A-Z][a-z]+(?:-[a-z]+)*-[Bb]y|Author|Commit(?:ter)?|From|C[Cc]):[ \t]+(?P<name>{_NAME})",
            re.MULTILINE,
        ),
        "trailer",
    ),
    (
        re.compile(
            rf"(?i:[@\\]author|__(?:author|maintainer|credits)__|(?<![a-z])(?:authors?|maintainers?|contributors?|developers?|creator))(?:[\"']?\]?[ \t]*(?:[:=]|=>)[ \t]*|[{{ \t]+)"
            rf"[\[({{ \t]{{0,4}}[\"'`]?(?:(?i:name)[\"']?[ \t]*[:=][ \t]*[\"'])?(?P<name>{_NAME})(?=[ \t]*(?:[\"'`,;<({{}}/*\n\r@]|\Z|-->|[-\u2013]|and\b))"
        ),
        "author",
    ),
    (
        re.compile(
            rf"(?i:(?:written|created|developed|maintained|implemented|ported|contributed|coded|made) by):?[ \t]+(?P<name>{_SEVERAL})"
        ),
        "author",
    ),
    (
        re.compile(
            rf"(?i:copyright|©|\(c\))[ \t:]*(?:(?i:\(c\)|©|&copy;|by|[0-9]{{4}}(?:[ \t]*[-\u2013,/][ \t]*(?:[0-9]{{2,4}}|present))*)[ \t,.:;]*){{0,6}}(?:(?i:by)[ \t]+)?(?P<name>{_SEVERAL})"
        ),
        "copyright",
    ),
    (
        re.compile(r"\b(?:TODO|FIXME|XXX|HACK|NOTE|BUG)\((?P<name>@?[A-Za-z][A-Za-z0-9._-]{1,38}(?:@[a-z.]+)?)\)"),
        "todo",
    ),
    (
        re.compile(
            r"(?:(?<![\w.])/(?:home|Users|var/home|export/home)/|\b[A-Za-z]:\\{1,2}(?:Users|Documents and Settings)\\{1,2}|/[a-z]/Users/)(?P<name>[A-Za-z][\w.-]{1,30})(?=[/\\\"'\s:;,)]|\Z)"
        ),
        "home-folder",
    ),
)
_GATE = re.compile(
    r"@|\b(?:by|at)\b|author|maintainer|contributor|creator|developer|copyright|©|\(c\)|TODO\(|FIXME\(|XXX\(|HACK\(|/home/|Users|-by:"
    r"|From:|C[Cc]:",
    re.IGNORECASE,
)
# One of these words makes it a company, a project or a group.
_GROUP = re.compile(
    r"(?:The|Inc|LLC|Ltd|Limited|GmbH|Corp|Corporation|Company|Co|Foundation|Authors?|Contributors?|Teams?|Projects?|Groups?"
    r"|University|Universit[éà]|Universität|Institute?|Labs?|Laborator(?:y|ies)|Software|Technolog(?:y|ies)|Systems?|Developers?|Maintainers?"
    r"|Committee|Association|Organi[sz]ation|AG|SA|SAS|SRL|BV|AB|Oy|Oyj|AS|ApS|KG|PLC|Pty|Research|Community|Google"
    r"|Microsoft|Facebook|Meta|Amazon|Apple|Intel|IBM|Oracle|Mozilla|Apache|Linux|Red|Hat|Free|Open|Source|Center|Centre|College|School"
    r"|Security|Support|Engineering|Services?|Solutions?|Networks?|Media|Studios?|Games|Digital|Design|Consulting|Ventures|Partners|Holdings?"
    r"|Enterprises?|International|Global|Industries|Consortium|Alliance|Society|Department|Ministry|Government|Council|Committers?"
    r"|Copyright|Rights|User|Agent|Header|Value|Reports?|Bugs?|Request|Response|Reserved|License|Licensed|Version|Bot|Robot|Actions?|Automation|Build|Release|Mailing|List|Cloud|Data|Bank|Union"
    r"|Nvidia|NVIDIA|Alibaba|Tencent|Huawei|Samsung|Sony|Baidu|ByteDance|Uber|Netflix|Twitter|GitHub|GitLab|Docker|Elastic|MongoDB|Python|Django|Node|React|Vue|Angular|Kubernetes|Holders?)",
)
_LEADING = re.compile(
    r"(?:(?:E-?mail|Mail|Contact|Copyright|Authors?|Please|Reports?|Bugs?|Send|To|From|See|By|Maintainers?|Cc|CC|Signed|Questions?|Written"
    r"|Created|Developers?|Name|Owner|Creator|Credits?|Thanks|Original|Main|Lead|Primary|Current|Portions?|Modified|Additional|Contact[s]?|Dr|Prof|Mr|Mrs|Ms)"
    r"[.:,]?[ \u00a0]+)+"
)
_NO_NAME = re.compile(
    r"(?i:(?:name|author|me|self|you|us|none|null|true|false|unknown|anonymous|admin|root|user|username|your|someone|everyone|anyone|nobody|todo|all|any"
    r"|team|issue|bug|later|perf|docs?|api|test|tests|cleanup|remove|soon|next|core|various|noreply|support|info|security|contact|hello|help|sales|string|str|int|object))"
    r"|[A-Z]{4,}|.*(?:\.(?:py|js|ts|com|org|io|h|c|md|txt)|[0-9]{3,}|[-_])"
)
_NO_HOME = re.compile(
    r"(?i:runner|runneradmin|user|users|username|ubuntu|root|admin|administrator|shared|public|default|all|me|node|vagrant|circleci|travis|jenkins"
    r"|build|builder|app|docker|ec2-user|pi|git|www|www-data|work|name|you|yourname|your_?name|vsts|vsts_azpcontainer|appveyor|gitpod|codespace|vscode|jovyan"
    r"|ci|test|tests|foo|bar|dev|guest|nobody|deploy|web|index|page|pages|home|main|site|container|containeradministrator|gradle|linuxbrew|airflow|frappe|odoo|steam|someone|myuser|coder|person)"  # our own names begin with "Person"
    r"|.*\.(?:html?|php|jsx?|tsx?|vue|css|png|svg)"
)
# A call, a type, a literal, a field: author = Type(str), authors: Vec<String>, Author: Person{}, Author Person
_OF_PROGRAM = re.compile(r"[({]|<[^@\s>]{1,40}[>,<]")
_FIELD = re.compile(r"[A-Za-z]+[ \t]+")
_OF_TWO = re.compile(r"(?<![\w.+-])(?P<first>[^\W\d_]{2,20})\.(?P<last>[^\W\d_]{2,20})@[\w-]")
_ADDRESS_FOLLOWS = re.compile(r"[\"']?[ \t]*(?:[<(\[]|&lt;)")
_MAX_NAME, _MOST_ADDRESSES = 60, 200


def may_hold_name(text: str) -> bool:
    """Return whether a text may hold a name; a quick look that misses none."""
    return _GATE.search(text) is not None


def name_spans(text: str) -> list[Span]:
    """Return the names of persons in a text, in order and without overlap."""
    found: dict[int, Span] = {}
    for span in (*_places(text), *_of_addresses(text)):
        if span.start not in found or span.end > found[span.start].end:
            found[span.start] = span
    names = {text[span.start : span.end] for span in found.values() if " " in text[span.start : span.end].strip()}
    if names:
        every = re.compile(
            "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in sorted(names, key=len, reverse=True))
        )
        for match in every.finditer(text):
            found.setdefault(match.start(), Span(match.start(), match.end(), "name-again"))
    spans: list[Span] = []
    for span in sorted(found.values()):
        if not spans or span.start >= spans[-1].end:
            spans.append(span)
    return spans


def _places(text: str) -> Iterator[Span]:
    for place, rule in _PLACES:
        for match in place.finditer(text):
            start, end = match.span("name")
            if rule == "todo":
                start += text[start] == "@"
            elif rule != "home-folder":
                start, end = _trimmed(text, start, end)
            value = text[start:end]
            if rule in {"author", "trailer"} and " " not in value and _OF_PROGRAM.match(text, end):
                continue
            if rule == "author" and " " not in value and _is_field(text, match.start(), start):
                continue
            if value and len(value) <= _MAX_NAME and _is_person(value, rule):
                yield Span(start, end, rule)


def _is_field(text: str, begin: int, start: int) -> bool:
    """Return whether only blanks part a word such as `Author` from a single word: a field and its type."""
    return text[begin] not in "@\\" and _FIELD.fullmatch(text, begin, start) is not None


def _of_addresses(text: str) -> Iterator[Span]:
    """Yield the names that an address of two words is made of, where they are written as a name or before an address."""
    pairs = {(found["first"].lower(), found["last"].lower()) for found in _OF_TWO.finditer(text)}
    names = [pair for pair in sorted(pairs) if not any(_NO_NAME.fullmatch(word) for word in pair)][:_MOST_ADDRESSES]
    if not names:
        return
    words = "|".join(rf"{first}[ \u00a0]+(?:\w\.?[ \u00a0]+)?{last}" for first, last in names)
    for match in re.finditer(rf"(?<!\w)(?:{words})(?!\w)", text, re.IGNORECASE):
        parts = match[0].split()
        is_written = parts[0] == parts[0].capitalize() and parts[-1][0] == parts[-1][0].upper()
        if (is_written or _ADDRESS_FOLLOWS.match(text, match.end())) and not any(map(_GROUP.fullmatch, parts)):
            yield Span(match.start(), match.end(), "name-in-address")


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Return where the name is without titles and words that lead to it, and without the full stop of a sentence."""
    if leading := _LEADING.match(text, start, end):
        start = leading.end()
    while end > start and (text[end - 1] in ".-'\u2019 " and not re.search(r"(?:\b\w|Jr|Sr|St)\.\Z", text[start:end])):
        end -= 1
    return start, end


def _is_person(value: str, rule: str) -> bool:
    if rule == "home-folder":
        return _NO_HOME.fullmatch(value) is None
    if rule == "todo":
        return _NO_NAME.fullmatch(value) is None and not re.search(r"[0-9]{3}|[A-Z]+-[0-9]", value)
    words = re.split(r"[ \u00a0]+", value)
    if any(_GROUP.fullmatch(word.rstrip(".,")) for word in words) or _NO_NAME.fullmatch(value):
        return False
    if len(words) == 1:  # one word is a name where an author is named, and not one of capitals or a product
        return (
            rule in {"author", "trailer", "name-of-address"} and len(value) > 1 and not re.search(r"[a-z][A-Z]", value)
        )
    return not all(word.isupper() and word.isascii() and "." not in word for word in words)
