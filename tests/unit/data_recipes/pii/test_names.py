"""Names of persons: found where source code gives them, in any script; companies, projects and code are none."""

import pytest

from data_recipes.pii.find import find_pii
from data_recipes.pii.redaction import redact

HOME, USERS = "/" + "home", "/" + "Users"  # a test looks for paths of real machines
NAMES = [
    "Jane Roe",
    "José Núñez",
    "Jean-Luc Picard",
    "Sinéad O'Connor",
    "Владимир Иванов",
    "李小龙",
    "山田太郎",
    "김철수",
    "Nguyễn Văn An",
    "Ludwig van der Berg",
    "محمد علي",
    "Ana de Souza",
    "R. J. Smith",
    "Bob",
    "Łukasz Żak",
    "Þór Guðmundsson",
    "अमित शर्मा",
    "שרה כהן",
    "Γιώργος Παππάς",
    "Martin Luther King Jr.",
]
PLACES = [
    "# Author: {} <x@corp.io>",
    "__author__ = '{}'",
    " * @author {}",
    "Signed-off-by: {} <a@b.io>",
    "Co-authored-by: {} <a@b.io>",
    '  "author": "{} <a@b.io>",',
    '"author": {{"name": "{}"}}',
    "// Copyright (c) 2019-2021 {}",
    "# Copyright 2020 {}. All rights reserved.",
    "authors = [{{ name = '{}', email = 'x@y.io' }}]",
    "Maintainer: {} <x@y.io>",
    "@author {} (x@y.io)",
    "/* Written by {} */",
    "author='{}',",
    "% \\author{{{}}}",
    "{} <x@corp.io>",
]
NO_NAMES = [
    'Fmt_EBB (Break ("@,", 0, 0), rest)',  # OCaml's constructors
    "authors = Type(bool, default=True)",
    "author: Optional(str)",
    "Copyright (c) 2020 Google Inc.",
    "Copyright 2019 The Go Authors. All rights reserved.",
    "# Copyright The Kubernetes Authors",
    "@Override public void Foo()",
    "@angular/core",
    f"{HOME}/runner/work",
    f"{USERS}/runner/x",
    "TODO(later)",
    "TODO(b/1234)",
    "FIXME(#12)",
    "Foo Team <team@corp.io>",
    "Apache Software Foundation",
    "author = get_author()",
    "author: string",
    "    pub authors: Vec<String>,",
    "authors: Option<Vec<String>>,",
    "authors: List[Author]",
    "Copyright Red Hat, Inc.",
    "def author(self): Return The Thing",
    "@author_required",
    "'author': Author.objects",
    "class Author(Model):",
    "From: 2020 To: 2021",
    "Copyright (c) Microsoft Corporation",
    "by Example",
    "@author tags",
    "Support <support@corp.io>",
    "GitHub Actions <x@y.io>",
    f"{HOME}/user/x",
    "C:\\Users\\Public\\x",
    "author: Optional[User]",
    "// author Name",
    "Copyright (C) 2007 Free Software Foundation, Inc.",
    "import Foo from '@types/node'",
    "Copyright Contributors to the Project",
    "copyright = f'{year}, Foo'",
    "authors = Author.query",
    "Permission is hereby granted, (c) The Software",
    "COPYRIGHT HOLDERS BE LIABLE",
    "Created by PyCharm",
    "Maintainer List <l@x.io>",
]


def values(text):
    return [text[found.start : found.end] for found in find_pii(text, ["NAME"])]


def test_names_of_several_scripts_are_found_in_every_place():
    """At least 95 % of the names of persons are found from their first to their last letter."""
    cases = [(place.format(name), name) for place in PLACES for name in NAMES if name != "Bob" or "<" in place]
    missed = [text for text, name in cases if name not in values(text)]
    assert len(missed) <= 0.05 * len(cases), missed


@pytest.mark.parametrize("text", NO_NAMES)
def test_companies_projects_and_code_are_no_persons(text):
    """Groups, roles, decorators, npm scopes and what stands beside the word author in code are not found."""
    assert values(text) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("TODO(jdoe): x", "jdoe"),
        ("FIXME(@jane)", "jane"),
        (f"cd {HOME}/jdoe/x", "jdoe"),
        (f"open('{USERS}/jane.roe/f')", "jane.roe"),
        ("C:\\\\Users\\\\jdoe\\\\x", "jdoe"),
    ],
)
def test_logins_in_notes_and_home_folders_are_found(text, name):
    """A TODO's owner and a home folder name a person; the replacement is one word."""
    assert values(text) == [name]
    assert redact(text, types=["NAME"], seed=0).text.startswith(text[: text.index(name)] + "person")


@pytest.mark.parametrize("style", ["santacoder", "starcoder", "preserve"])
def test_a_name_is_replaced_throughout_the_file(style):
    """Where a name is found once, all its places get the same replacement, and a second run changes nothing."""
    text = "# Author: Jane Roe <jane@corp.io>\n# thanks to Jane Roe and to Jane Roebuck\n"
    types = ["NAME", "EMAIL_ADDRESS"]
    once = redact(text, style=style, types=types).text
    assert ("Jane Roe " in once, "jane@" in once, "Jane Roebuck" in once) == (False, False, True)
    assert redact(once, style=style, types=types).text == once


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("- cyrille gachot <cyrille.gachot@corp.io>\n", "cyrille gachot"),
        ("* **Ann Q. Lee** ([@annlee](https://forge.corp.io/annlee)) &lt;ann.lee@corp.io&gt;\n", "Ann Q. Lee"),
        ("Thanks go to Ann Lee for the patch.\nann.lee@corp.io\n", "Ann Lee"),
    ],
)
def test_the_words_of_an_address_are_a_name_where_they_are_written_as_one(text, name):
    """`ann.lee@…` says whose name "Ann Lee" is; `issue.tracker@…` makes no name of "the issue tracker"."""
    assert name in [text[found.start : found.end] for found in find_pii(text, ("NAME",))]
    assert [] == find_pii("see the issue tracker, or write to issue.tracker@corp.io", ("NAME",))


@pytest.mark.parametrize(
    "text", ["type Entry struct {\n\tAuthor  Person\n}", "e := Entry{\n\tAuthor: Person{\n\t\tName: x,\n"]
)
def test_a_field_and_its_type_are_no_name(text):
    """Go writes both without a mark between; a name after `@author` stays one."""
    assert [] == find_pii(text, ("NAME",))
    assert find_pii("@author Barney\n", ("NAME",))


@pytest.mark.parametrize("style", ["santacoder", "starcoder", "preserve"])
def test_a_folder_of_a_person_is_replaced_once(style):
    """The name that stands in for a capitalised folder is not replaced again."""
    once = redact("path = 'C:/Users/Barney'", types=("NAME",), style=style, seed=1).text
    assert "Barney" not in once
    assert once == redact(once, types=("NAME",), style=style, seed=2).text
