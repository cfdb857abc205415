r"""The language of a file by its name, its first line and, where an extension is several languages', its text.

Names, extensions and interpreters are GitHub's, from the table `languages.json` (`docs/generate_languages.py` writes it;
its notices are in it). Which of several languages an extension means is our own rule: a sign in the text decides, and
without one the usual language.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).with_name("languages.json")
_LOOKED_AT = 1 << 16

_USUAL: Mapping[str, str] = {
    ".asc": "AsciiDoc",
    ".bas": "BASIC",
    ".bf": "Brainfuck",
    ".cfg": "INI",
    ".cgi": "Perl",
    ".cl": "OpenCL",
    ".cp": "C++",
    ".d": "D",
    ".ddl": "SQL",
    ".e": "Eiffel",
    ".es": "JavaScript",
    ".f": "Fortran",
    ".for": "Fortran",
    ".frag": "GLSL",
    ".frm": "VBA",
    ".ftl": "FreeMarker",
    ".fx": "HLSL",
    ".gs": "JavaScript",
    ".h": "C",
    ".hh": "C++",
    ".html": "HTML",
    ".inc": "C++",
    ".lean": "Lean 4",
    ".lsp": "Common Lisp",
    ".m": "Objective-C",
    ".md": "Markdown",
    ".mod": "Modula-2",
    ".nb": "Wolfram Language",
    ".nu": "Nushell",
    ".plist": "XML Property List",
    ".pm": "Perl",
    ".pod": "Pod",
    ".prc": "SQL",
    ".rs": "Rust",
    ".sql": "SQL",
    ".srt": "SubRip Text",
    ".star": "Starlark",
    ".t": "Perl",
    ".toc": "TeX",
    ".txt": "Text",
    ".v": "Verilog",
    ".yaml": "YAML",
}
"""The language of an extension that several have, where no sign in the text says another. Of the extensions that are
not here it is the language that names it first among its own, a programming language before others."""

_SIGNS: Mapping[str, str] = {
    "XML": r"\A\ufeff?\s*<(?:\?xml|!DOCTYPE\s+(?!html)|TS\b|tileset\b)",
    "Public Key": r"\A-----BEGIN ",
    "Perl": r"\A#!.*perl|^\s*(?:use (?:strict|warnings|v?5)|package [\w:]+;|my [$@%(])",
    "Prolog": r"^\s*:-\s*\w|^[a-z]\w*\([^\n]*\)\s*:-",
    "Raku": r"\A#!.*(?:raku|perl6)|^\s*use v6|^\s*(?:unit )?(?:class|grammar|role) \w",
    "Objective-C": r"^\s*@(?:interface|implementation|protocol|class|end|property|import)\b|^\s*#\s*import\s",
    "C++": (
        r"^\s*(?:class\s+\w+[^;]*\{|namespace\s*[\w:]*\s*\{|template\s*<|using\s+(?:namespace\b|\w+\s*=)"
        r"|(?:public|private|protected)\s*:|#\s*include\s*<[a-z_]+>)|\bstd::"
    ),
    "Mercury": r"^:- module\b",
    "MATLAB": r"^\s*(?:%|function\b|classdef\b|end;?\s*$)",
    "Wolfram Language": r"\A\s*\(\*",
    "PHP": r"<\?(?:php|=)",
    "Hack": r"\A(?:#![^\n]*\n)?<\?hh",
    "Rocq Prover": r"^\s*(?:Theorem|Lemma|Definition|Inductive|Fixpoint|Proof|Require Import|Module Type)\b",
    "V": r"^(?:module \w+\s*$|(?:pub )?fn )",
    "Standard ML": r"^\s*(?:structure|signature|functor|fun) \w",
    "TeX": r"^\s*\\\w+",
    "VBA": r"^Attribute VB_|^VERSION \d",
    "Common Lisp": r"^\s*\((?:defun|defmacro|defvar|defpackage|in-package|setq)\b",
    "Makefile": r"^[\w./-]+\.o\s*:",
    "DTrace": r"\A#!.*dtrace|^\s*(?:syscall|dtrace|pid\$?\w*):[^\n]*:",
    "GLSL": r"^\s*#version \d|\bgl_(?:Position|FragColor)\b",
    "QMake": r"^\s*(?:TEMPLATE|QT|CONFIG|SOURCES|TARGET)\s*[+-]?=",
    "Roff": r"\A[.']\\?\"|^\.(?:TH|SH|Dd|so)\b",
    "Rebol": r"^\s*REBOL\s*\[",
    "Markdown": r"^#{1,6} \w",
    "Pascal": r"^\s*(?:unit|program|uses|interface) ?\w*\s*;?\s*$",
    "Forth": r"^\s*: \S+ ",
    "Cuda": r"\b__global__\b",
}
"""What in a text says that it is in a language: compared only for languages that its extension may mean."""

_SHEBANG = re.compile(rb"#![ \t]*(?:\S*/)?env(?:[ \t]+(?:-\S+|\w+=\S*))*[ \t]+(\S+)|#![ \t]*(\S+)")
_VERSION = re.compile(r"[\d.]+$")


@dataclass(frozen=True, slots=True)
class _Names:
    """The table, turned round: languages by what names them."""

    types: Mapping[str, str]
    extensions: Mapping[str, tuple[str, ...]]  # the usual language first
    filenames: Mapping[str, str]
    interpreters: Mapping[str, str]
    spelled: Mapping[str, str]


@cache
def _names() -> _Names:
    languages: Mapping[str, Mapping[str, Any]] = json.loads(_TABLE.read_text(encoding="utf-8"))["languages"]
    meant: defaultdict[str, list[tuple[bool, bool, str]]] = defaultdict(list)
    filenames: dict[str, str] = {}
    interpreters: dict[str, str] = {}
    aliases: dict[str, str] = {}
    for name, about in languages.items():
        for place, ext in enumerate(about.get("extensions", ())):
            meant[ext.lower()].append((place > 0, about["type"] != "programming", name))
        for other in about.get("filenames", ()):
            filenames.setdefault(other, name)
        for other in about.get("interpreters", ()):
            interpreters.setdefault(other, name)
        aliases |= dict.fromkeys((alias.lower() for alias in about.get("aliases", ())), name)
    extensions = {}
    for ext, found in meant.items():
        usual = _USUAL.get(ext)
        extensions[ext] = tuple(
            dict.fromkeys(name for *_, name in sorted(found, key=lambda item: (item[2] != usual, *item)))
        )
    types = {name: about["type"] for name, about in languages.items()}
    return _Names(types, extensions, filenames, interpreters, aliases | {name.lower(): name for name in languages})


def language_names() -> list[str]:
    """Return the names of all known languages, in the order of the alphabet."""
    return sorted(_names().types)


KINDS = ("programming", "markup", "data", "prose")
"""The kinds of languages, as GitHub sorts them."""


def languages_of_kind(kind: str) -> list[str]:
    """Return the languages of a kind: `programming`, `markup` (HTML, CSS, Vue), `data` (JSON, SQL) or `prose` (Markdown).

    >>> "Python" in languages_of_kind("programming"), "JSON" in languages_of_kind("programming")
    (True, False)
    """
    return [name for name, found in _names().types.items() if found == kind]


def spelled(name: str) -> str:
    """Return the one spelling of a language's name; a name that is not known stays as it is.

    >>> spelled("GO"), spelled("csharp"), spelled("Klingon")
    ('Go', 'C#', 'Klingon')
    """
    return _names().spelled.get(name.lower(), name)


def language_by_name(path: str) -> str:
    """Return the language that a file's name says, the usual one of its extension; empty where it says none.

    >>> language_by_name("src/main.rs"), language_by_name("Dockerfile"), language_by_name("a.png"), language_by_name("run")
    ('Rust', 'Dockerfile', '', '')
    """
    candidates = _candidates(path)
    return candidates[0] if candidates else ""


def language_of(path: str, data: bytes) -> str:
    r"""Return the language of a file by name and content; empty where neither says one.

    >>> language_of("a.h", b"#pragma once\n"), language_of("a.h", b"namespace a {\n"), language_of("run", b"#!/bin/sh\n")
    ('C', 'C++', 'Shell')
    """
    candidates = _candidates(path)
    if not candidates:
        return _by_shebang(data) if is_nameless(path) else ""
    if len(candidates) == 1:
        return candidates[0]
    usual, *others = candidates
    head = data[:_LOOKED_AT].decode("utf-8", "replace")
    if data.startswith(b"#!") and (lang := _by_shebang(data)) in candidates:
        return lang
    if _says(usual, head):
        return usual
    return next((lang for lang in _SIGNS if lang in others and _says(lang, head)), usual)


def is_nameless(path: str) -> bool:
    """Return whether only the first line of a file can tell its language: its name has no extension and is not known."""
    name = path.rpartition("/")[2]
    return "." not in name.lstrip(".") and name not in _names().filenames


def is_program(path: str) -> bool:
    """Return whether a file's name says that it is in a programming language, rather than data, markup or prose."""
    return _names().types.get(language_by_name(path)) == "programming"


def unknown_language(path: str) -> str:
    """Return what is said of a file of which no language is known."""
    if is_nameless(path):
        return "no extension, no known name, no known #! line"
    name = path.rpartition("/")[2]
    return f"no language has .{name.rpartition('.')[2].lower()}"


def _candidates(path: str) -> tuple[str, ...]:
    """Return the languages that a name may mean, the usual one first: by the whole name, or its longest known ending."""
    names, name = _names(), path.rpartition("/")[2]
    if known := names.filenames.get(name):
        return (known,)
    return next((names.extensions[end] for end in _endings(name.lower()) if end in names.extensions), ())


def _endings(name: str) -> Iterator[str]:
    place = name.find(".")
    while place >= 0:
        yield name[place:]
        place = name.find(".", place + 1)


@cache
def _sign(language: str) -> re.Pattern[str] | None:
    sign = _SIGNS.get(language)
    return re.compile(sign, re.MULTILINE) if sign else None


def _says(language: str, head: str) -> bool:
    sign = _sign(language)
    return bool(sign and sign.search(head))


def _by_shebang(data: bytes) -> str:
    found = _SHEBANG.match(data[:256].partition(b"\n")[0])
    if not found:
        return ""
    name = (found[1] or found[2]).decode("utf-8", "replace").rpartition("/")[2]
    interpreters = _names().interpreters
    return interpreters.get(name) or interpreters.get(_VERSION.sub("", name), "")
