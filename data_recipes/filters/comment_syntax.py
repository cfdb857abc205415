"""A table of what comments and strings look like in each language; the compiled lexer reads it.

A language is a tuple of marks. The names are GitHub Linguist's, as The Stack has them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LINE, BLOCK, STRING, CHARACTER, RAW_CPP, RAW_RUST, LONG_STRING, LONG_COMMENT, HEREDOC, QUOTED = range(10)
"""Kinds of marks: of a comment that ends with its line or with a mark, of a string, of a single character in quotes, of
C++'s `R"x(…)x"`, Rust's `r#"…"#`, Lua's `[=[…]=]` as a string and as a comment, a here-document, and a mark after which
one character has no meaning."""

NESTED, MULTILINE, FIRST_ON_LINE, IN_FIRST_COLUMN, AFTER_BLANK, NOT_AFTER_WORD, CONTINUED, DOUBLED, WORD, AT_ONCE = (
    1 << n for n in range(10)
)
"""Flags: a block may hold blocks; a string may hold line ends; the mark counts only after blanks, in the first column,
after a blank or bracket, not after a letter or digit; a line comment goes on after a backslash; a doubled quote is one
of the string; a blank or line end must follow; neither may follow."""

MOST_BYTES = 7


@dataclass(frozen=True, slots=True)
class Mark:
    """What opens a comment or string, and how it ends."""

    opens: str
    kind: int
    closes: str = ""
    escape: str = ""
    flags: int = 0


def _line(*opens: str, flags: int = 0) -> tuple[Mark, ...]:
    return tuple(Mark(text, LINE, flags=flags) for text in opens)


def _block(opens: str, closes: str, flags: int = 0) -> tuple[Mark, ...]:
    return (Mark(opens, BLOCK, closes, flags=flags),)


def _quote(*quotes: str, escape: str = "\\", flags: int = 0) -> tuple[Mark, ...]:
    return tuple(Mark(quote, STRING, quote, escape, flags) for quote in quotes)


_CHAR = (Mark("'", CHARACTER),)
_C_BLOCK, _C_NESTED = _block("/*", "*/"), _block("/*", "*/", NESTED)
_C_COMMENTS = (*_line("//", flags=CONTINUED), *_C_BLOCK)
_SLASHES = (*_line("//"), *_C_BLOCK)
_NESTED_SLASHES = (*_line("//"), *_C_NESTED)
_DOUBLE, _BOTH = _quote('"'), _quote('"', "'")
_MANY_LINES = _quote('"', "'", flags=MULTILINE)
_TRIPLE_DOUBLE, _TRIPLE_SINGLE = _quote('"""', flags=MULTILINE), _quote("'''", flags=MULTILINE)
_RAW_TICK = _quote("`", escape="", flags=MULTILINE)
_C = (*_C_COMMENTS, *_DOUBLE, *_quote("'", flags=NOT_AFTER_WORD))
_CPP = (Mark('R"', RAW_CPP), *_C)
_SLASHED = (*_SLASHES, *_BOTH)
_HASH, _WORD_HASH = _line("#"), _line("#", flags=AFTER_BLANK)
_HASHED = (*_HASH, *_BOTH)
_ESCAPED = (Mark("\\", QUOTED),)
_HERE = (Mark("<<", HEREDOC),)
_HERE_AT_ONCE = (Mark("<<", HEREDOC, flags=AT_ONCE),)  # a blank makes it a shift, or `class << self`
_SHELL = (*_WORD_HASH, *_ESCAPED, *_quote('"', flags=MULTILINE), *_quote("'", escape="", flags=MULTILINE), *_HERE)
_DOCUMENTED = (
    *_block('"""', '"""', FIRST_ON_LINE),
    *_block("'''", "'''", FIRST_ON_LINE),
    *_TRIPLE_DOUBLE,
    *_TRIPLE_SINGLE,
    *_HASHED,
)
_SQL_QUOTES = _quote('"', "'", escape="", flags=MULTILINE)
_SQL = (*_line("--"), *_C_BLOCK, *_SQL_QUOTES)
_LISP = (*_line(";"), *_block("#|", "|#", NESTED), *_quote('"', flags=MULTILINE), *_ESCAPED)
_ML_COMMENT = _block("(*", "*)", NESTED)
_ML = (*_ML_COMMENT, *_quote('"', flags=MULTILINE), *_CHAR)
_HASKELL = (*_line("--", flags=NOT_AFTER_WORD), *_block("{-", "-}", NESTED), *_DOUBLE, *_CHAR)
_MARKUP = _block("<!--", "-->")
_LUA = (Mark("--[", LONG_COMMENT), *_line("--"), Mark("[", LONG_STRING), *_BOTH)
_PERCENT = (*_line("%"), *_ESCAPED)
_CSS = (*_C_BLOCK, *_BOTH)
_PASCAL = (*_line("//"), *_block("{", "}"), *_block("(*", "*)"), *_quote("'", escape=""))
_BASIC = (*_line("'"), *_line("REM", "Rem", "rem", flags=FIRST_ON_LINE | WORD), *_quote('"', escape=""))
_ASSEMBLY = (*_line("#", ";", "//", "@", flags=AFTER_BLANK), *_C_BLOCK, *_DOUBLE)
_SETTINGS = _line("#", ";", flags=FIRST_ON_LINE)
_RUBY = (
    *_block("=begin", "\n=end", IN_FIRST_COLUMN),
    *_WORD_HASH,
    *_quote('"', "'", flags=MULTILINE | NOT_AFTER_WORD),
    *_ESCAPED,
    *_HERE_AT_ONCE,
)
_POD = tuple(
    mark
    for word in ("=pod", "=head", "=over", "=item", "=back", "=begin", "=for", "=encodi", "=cut")
    for mark in _block(word, "\n=cut", IN_FIRST_COLUMN)
)

_FAMILIES: Sequence[tuple[str, tuple[Mark, ...]]] = (
    ("C,Objective-C,OpenCL,Yacc,Lex,XS,Metal,HLSL,GLSL,ShaderLab", _C),
    ("C++,Cuda,Objective-C++,Arduino,Cap'n Proto", _CPP),
    ("C#", (Mark('@"', STRING, '"', flags=MULTILINE), *_SLASHED)),
    ("Go", (*_SLASHED, *_RAW_TICK)),
    ("Rust", (*_NESTED_SLASHES, Mark("r", RAW_RUST, flags=NOT_AFTER_WORD), *_quote('"', flags=MULTILINE), *_CHAR)),
    ("Swift,Kotlin,Scala", (*_NESTED_SLASHES, *_TRIPLE_DOUBLE, *_DOUBLE, *_CHAR)),
    ("Dart", (*_NESTED_SLASHES, *_TRIPLE_DOUBLE, *_TRIPLE_SINGLE, *_BOTH)),
    ("Groovy,Gradle", (*_SLASHES, *_TRIPLE_DOUBLE, *_TRIPLE_SINGLE, *_BOTH)),
    ("D", (*_NESTED_SLASHES, *_block("/+", "+/", NESTED), *_RAW_TICK, *_quote('"', flags=MULTILINE), *_CHAR)),
    ("Zig", (*_line("//"), *_BOTH)),
    (
        "ActionScript,Haxe,Vala,Solidity,Thrift,Processing,Pawn,UnrealScript,Protocol Buffer,SystemVerilog,Bicep",
        _SLASHED,
    ),
    (
        "JSON with Comments,JSON5,ANTLR,Squirrel,Ballerina,ReScript,CUE,Chapel,Jsonnet,SuperCollider,Stan,Modelica,V",
        _SLASHED,
    ),
    ("Verilog", (*_SLASHES, *_DOUBLE)),
    ("CSS", _CSS),
    ("SCSS,Less,Sass,Stylus", (*_line("//", flags=AFTER_BLANK), *_CSS)),
    ("PHP,Hack", (*_line("//"), *_WORD_HASH, *_C_BLOCK, *_MANY_LINES, *_HERE)),
    ("HCL,Terraform", (*_HASH, *_SLASHES, *_DOUBLE)),
    ("Cython,Starlark,GDScript", _DOCUMENTED),
    ("Shell,Bash,Zsh,Tcsh,Awk,Dockerfile,Makefile,BitBake", _SHELL),
    ("fish", (*_WORD_HASH, *_MANY_LINES, *_ESCAPED)),
    ("Ruby", _RUBY),
    ("Crystal", (*_WORD_HASH, *_MANY_LINES)),
    ("Perl,Raku", (*_POD, *_WORD_HASH, *_ESCAPED, *_BOTH, *_HERE_AT_ONCE)),
    ("R", (*_HASH, *_MANY_LINES)),
    ("YAML", (*_WORD_HASH, *_BOTH)),
    ("Tcl", (*_line("#", flags=FIRST_ON_LINE), *_ESCAPED, *_quote('"', flags=MULTILINE))),
    ("TOML,GraphQL,Meson,Puppet,Elixir,Nushell,Just,Ninja,Ruby on Rails", (*_TRIPLE_DOUBLE, *_TRIPLE_SINGLE, *_HASHED)),
    ("CMake", (Mark("#[", LONG_COMMENT), *_HASH, Mark("[", LONG_STRING), *_quote('"', flags=MULTILINE))),
    ("Julia", (*_block("#=", "=#", NESTED), *_HASH, *_TRIPLE_DOUBLE, *_DOUBLE, *_CHAR)),
    ("Nim", (*_block("#[", "]#", NESTED), *_HASH, *_TRIPLE_DOUBLE, *_DOUBLE, *_CHAR)),
    ("CoffeeScript", (*_block("###", "###"), *_HASH, *_TRIPLE_DOUBLE, *_TRIPLE_SINGLE, *_MANY_LINES)),
    ("PowerShell", (*_block("<#", "#>"), *_WORD_HASH, *_quote('"', escape="`"), *_quote("'", escape=""))),
    ("Nix", (*_HASH, *_C_BLOCK, *_quote("''", escape="", flags=MULTILINE), *_quote('"', flags=MULTILINE))),
    ("INI,Git Config,EditorConfig,desktop", _SETTINGS),
    ("Java Properties", _line("#", "!", flags=FIRST_ON_LINE)),
    ("Nginx,Gherkin,Ignore List,Procfile,robots.txt,Option List", _line("#", flags=AFTER_BLANK)),
    ("SQL,PLpgSQL,PLSQL,TSQL,SQLPL,HiveQL", _SQL),
    ("Lua,Luau,Terra,MoonScript", _LUA),
    ("Haskell,PureScript,Agda,Idris,Dhall,Curry", _HASKELL),
    ("Elm", (*_HASKELL, *_TRIPLE_DOUBLE)),
    ("Ada,VHDL,Eiffel", (*_line("--"), *_quote('"', escape=""), *_CHAR)),
    ("AppleScript", (*_line("--", "#"), *_ML_COMMENT, *_DOUBLE)),
    ("Common Lisp,Emacs Lisp,Scheme,Racket,NewLisp,Hy,Clojure,Fennel,Janet", _LISP),
    ("Assembly,Unix Assembly,Motorola 68K Assembly", _ASSEMBLY),
    ("LLVM,AutoHotkey,NSIS,Inno Setup", (*_line(";", flags=AFTER_BLANK), *_DOUBLE)),
    ("TeX,BibTeX,PostScript", _PERCENT),
    ("Erlang", (*_line("%"), *_MANY_LINES, Mark("$", QUOTED))),
    ("Prolog,Mercury,Logtalk", (*_line("%"), *_C_BLOCK, *_BOTH)),
    (
        "MATLAB,Octave",
        (*_block("%{", "%}", FIRST_ON_LINE), *_line("%"), *_quote('"'), *_quote("'", flags=NOT_AFTER_WORD)),
    ),
    ("Fortran", (*_line("!"), *_quote('"', "'", escape=""))),
    ("Fortran Free Form", (*_line("!"), *_quote('"', "'", escape=""))),
    ("Vim script", (*_line('"', flags=FIRST_ON_LINE), *_quote("'", escape=""))),
    ("Visual Basic .NET,VBA,VBScript,Visual Basic 6.0,FreeBASIC,BASIC", _BASIC),
    ("Batchfile", _line("REM", "Rem", "rem", "@REM", "@rem", "::", flags=FIRST_ON_LINE)),
    ("OCaml,Standard ML,Reason", _ML),
    ("Coq,Rocq Prover,Isabelle", (*_ML_COMMENT, *_quote('"', escape="", flags=MULTILINE))),
    ("F#", (*_ML_COMMENT, *_line("//"), *_TRIPLE_DOUBLE, *_quote('"', flags=MULTILINE), *_CHAR)),
    ("Pascal", _PASCAL),
    ("Modula-2,Oberon,Component Pascal", (*_ML_COMMENT, *_quote('"', "'", escape=""))),
    ("Lean,Lean 4", (*_line("--"), *_block("/-", "-/", NESTED), *_quote('"', flags=MULTILINE))),
    (
        "HTML,XML,SVG,Markdown,XSLT,Vue,Svelte,Maven POM,HTML+Django,Jinja,HTML+ERB,XML Property List,Ant Build System",
        _MARKUP,
    ),
    ("Smalltalk", (*_block('"', '"'), *_quote("'", escape="", flags=MULTILINE))),
    ("COBOL", (*_line("*>"), *_quote('"', "'", escape=""))),
    ("Forth", (*_line("\\", flags=AFTER_BLANK | WORD), *_block("( ", ")"))),
    ("ABAP", (*_line("*", flags=IN_FIRST_COLUMN), *_line('"'), *_quote("'", escape=""))),
    ("Apex", _SLASHED),
    ("Linker Script", _C_BLOCK),
    ("Wolfram Language,Mathematica", (*_ML_COMMENT, *_quote('"', flags=MULTILINE))),
)

SYNTAX: Mapping[str, tuple[Mark, ...]] = {lang: marks for names, marks in _FAMILIES for lang in names.split(",")}
"""The marks of each language by its name."""


def tables(languages: Sequence[str]) -> tuple[Any, Any]:
    """Return the table of marks as the lexer reads it.

    The first array has for each language and byte the row of the first mark that begins with it, or -1; the second has
    a row a mark: opening bytes (little endian) and their number, kind, closing bytes and their number, escape, flags,
    and the row of the next mark that begins with the same byte, longer ones first, and of equal ones the first of the language.
    """
    first = np.full((len(languages), 256), -1, np.int64)
    rows: list[list[int]] = []
    for number, lang in enumerate(languages):
        ordered = sorted(enumerate(SYNTAX[lang]), key=lambda item: (len(item[1].opens), -item[0]))
        for _, mark in ordered:
            byte = ord(mark.opens[0])
            next_row = int(first[number, byte])
            first[number, byte] = len(rows)
            opens, closes = mark.opens.encode(), mark.closes.encode()
            escape = ord(mark.escape) if mark.escape else -1
            words = (
                int.from_bytes(opens, "little"),
                len(opens),
                mark.kind,
                int.from_bytes(closes, "little"),
                len(closes),
            )
            rows.append([*words, escape, mark.flags, next_row])
    return first, np.array(rows, np.int64).reshape(-1, 8)
