"""Languages by name, first line and text."""

import json
from pathlib import Path

import pytest

from data_recipes.filters import comment_syntax
from data_recipes.recipes import slug
from data_recipes.sources import language_names as names
from data_recipes.sources.language_names import (
    KINDS,
    is_program,
    language_by_name,
    language_names,
    language_of,
    languages_of_kind,
    spelled,
)

TABLE = Path(names.__file__).with_name("languages.json")


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("a.h", "int f(void);\n", "C"),
        ("a.h", "class A {\n", "C++"),
        ("a.h", "#include <vector>\n", "C++"),
        ("a.h", "#include <stdio.h>\n", "C"),
        ("a.h", "@interface A : B\n", "Objective-C"),
        ("a.m", "#import <A/A.h>\n", "Objective-C"),
        ("a.m", "% a comment\nx = 1;\n", "MATLAB"),
        ("a.m", "(* Wolfram *)\n", "Wolfram Language"),
        ("a.m", ":- module m.\n", "Mercury"),
        ("a.pl", "use strict;\nmy $x = 1;\n", "Perl"),
        ("a.pl", "parent(X) :- child(X).\n", "Prolog"),
        ("a.pl", "print 1;\n", "Perl"),
        ("a.ts", "let a: number = 1;\n", "TypeScript"),
        ("a.ts", "<?xml version='1.0'?>\n<!DOCTYPE TS>\n", "XML"),
        ("a.d.ts", "declare const a: number;\n", "TypeScript"),
        ("a.inc", "<?php\n", "PHP"),
        ("a.v", "module m(input a);\n", "Verilog"),
        ("a.v", "Lemma a : True.\n", "Rocq Prover"),
        ("a.d", "a.o: a.c\n", "Makefile"),
        ("a.cls", "\\\\ProvidesClass{a}\n", "TeX"),
        ("a.rs", "", "Rust"),
        ("a.SQL", "", "SQL"),
        ("a.html.erb", "", "HTML+ERB"),
        ("sub/Makefile", "", "Makefile"),
        ("CMakeLists.txt", "", "CMake"),
        (".bashrc", "", "Shell"),
        ("run", "#!/bin/sh\n", "Shell"),
        ("run", "#! /usr/bin/env -S A=1 python3.11 -u\n", "Python"),
        ("run", "#!/usr/bin/env node\n", "JavaScript"),
        ("run", "#!/opt/unknown\n", ""),
        ("run", "#!\n", ""),
        ("run", "", ""),
        ("a.png", "#!/bin/sh\n", ""),
        ("", "", ""),
        ("a/", "", ""),
        (".", "", ""),
    ],
)
def test_a_file_has_the_language_that_its_name_or_text_says(path, text, expected):
    """An extension of several languages goes by signs in the text, then by what is usual."""
    assert language_of(path, text.encode().replace(b"\\\\", b"\\")) == expected


def test_bytes_that_are_no_text_give_a_language_all_the_same():
    """What can't be decoded is no sign of anything."""
    assert language_of("a.h", b"\xff\xfe\0" * 1000) == "C"


def test_each_language_has_one_spelling():
    """Names in any case and the known other names lead to one; the names are their own spelling."""
    assert {spelled(name) for name in ("go", "GO", "golang")} == {"Go"}
    assert {name: spelled(name.upper()) for name in language_names()} == {name: name for name in language_names()}


def test_every_language_has_file_and_config_names_of_its_own():
    """No two of them share a slug."""
    assert len({slug(name) for name in language_names()}) == len(language_names()) > 800


def test_rules_name_known_languages_and_extensions():
    """A sign or a usual language that the table does not have would never be used; nor would a comment syntax."""
    known = json.loads(TABLE.read_text(encoding="utf-8"))["languages"]
    usual = names._USUAL
    assert set(names._SIGNS) | set(usual.values()) <= set(known)
    assert [ext for ext, name in usual.items() if ext not in known[name]["extensions"]] == []
    unknown = {name for name in comment_syntax.SYNTAX if name not in known}
    assert unknown == {"Arduino", "Terraform", "Bash", "Zsh", "Ruby on Rails", "robots.txt", "Octave", "Coq"} | {
        "HTML+Django",
        "Mathematica",
    }


def test_data_markup_and_prose_are_no_programs():
    """A folder of them alone is no source tree where there are tables, too."""
    assert [is_program(name) for name in ("a.py", "b.json", "README.md", "c.html", "d.txt", "e")] == [
        True,
        *[False] * 5,
    ]


def test_the_table_keeps_its_notices():
    """The terms of the table's source ask for both."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    assert ("Permission is hereby granted" in table["notice"], "GitHub" in table["third_party_notice"]) == (True, True)
    assert TABLE.stat().st_size < 1_000_000


def test_a_name_alone_gives_the_usual_language():
    """Samples are drawn before anything is read."""
    assert (language_by_name("a.h"), language_by_name("run")) == ("C", "")


def test_each_language_is_of_one_kind_and_no_kind_is_a_language():
    """The four kinds hold all languages, each once; their names mean nothing else."""
    assert sorted(name for kind in KINDS for name in languages_of_kind(kind)) == language_names()
    assert {spelled(kind) for kind in KINDS} == set(KINDS)
    assert {kind: set(languages_of_kind(kind)) & {"Python", "HTML", "JSON", "Markdown"} for kind in KINDS} == {
        "programming": {"Python"},
        "markup": {"HTML"},
        "data": {"JSON"},
        "prose": {"Markdown"},
    }
