"""Comments of the languages of the table: small files in which the comments stand between « and »."""

import numpy as np
import pytest

from data_recipes.filters.comment_syntax import MOST_BYTES, SYNTAX
from data_recipes.filters.comments import comment_shares, known_languages

FILES = {
    "C": '«/* a */» char *s = "/* no */"; «// b \\\nstill b»\nchar c = \'"\'; «// c»\n',
    "C++": 'auto s = R"x( // no )" )x"; int n = 1\'000\'000; «// yes»\n«/* never closed',
    "C#": 'var p = @"C:\\"; «// yes»\nvar q = "// no"; «/// <summary>»\n',
    "Go": "s := `// no\n` «// yes»\n",
    "Rust": "fn f<'a>(x: &'a str) { let c = '\"'; let s = r#\"// \" no\"#; } «// yes»\n«/* a /* b */ c */» x\n",
    "Swift": 'let s = """\n// no\n""" «// yes»\n',
    "Kotlin": "val c = '\"' «// yes»\n«/* a /* b */ */»\n",
    "D": "«/+ a /+ b +/ +/» auto s = `// no`; «// yes»\n",
    "TypeScript": "const a = /\\/\\/ no/; const b = `// ${1 «/* in */»}`; «// yes»\n",
    "Groovy": "def s = '''\n// no\n''' «// yes»\n",
    "Dart": "«/// doc»\nvar s = '// no';\n",
    "PHP": '<?php $a = "# no"; «# yes»\n$b = <<<EOT\n// no \'\nEOT;\n«// yes»\n',
    "CSS": "a { b: url(x) } «/* yes */»\n",
    "SCSS": "a { b: url(http://no) } «// yes»\n",
    "HCL": 'a = "# no" «# yes»\n«/* b */»\n',
    "Cython": '«"""doc"""»\ncdef int x = 1 «# yes»\ns = "# no"\n',
    "Shell": "#!/bin/sh\necho ${#x} $# \\# '# no' «# yes»\ncat <<EOF\n# no '\nEOF\n«# yes»\n",
    "Ruby": '«=begin\na\n=end»\nx = "#{y} # no" «# yes»\nz = <<~TEXT\n  # no\n  TEXT\n«# yes»\nclass << self\n«# yes»\nself\nend\n',
    "Perl": '«=head1 NAME\n\ntext\n\n=cut»\nmy $n = $#list; s/\'//; «# yes»\nprint <<"END";\n# no\nEND\n«# yes»\n$a << shift;\n«# yes»\nshift;\n',
    "R": "x <- '# no' «# yes»\n",
    "YAML": "a: b#no «# yes»\nc: '# no'\n",
    "TOML": "a = '''\n# no\n''' «# yes»\n",
    "Tcl": 'set x "# no"\n«# yes»\nset y #no\n',
    "CMake": "«#[==[ a\nb ]==]» set(X [[# no]]) «# yes»\n",
    "Julia": "«#= a #= b =# =#» x' «# yes»\n",
    "Nim": 'echo """# no""" «#[ a #[ b ]# ]#» «# yes»\n',
    "CoffeeScript": "«### a\nb ###» c = '# no' «# yes»\n",
    "PowerShell": '«<# a #>» $x = "`" # no" «# yes»\n',
    "INI": "«; yes»\n[a]\nb = c ; no\n«# yes»\n",
    "SQL": "select 'it''s -- no' «-- yes»\n«/* a */»\n",
    "Lua": "x = [==[ -- no ]==] «--[[ a\nb ]]» y = '-- no' «-- yes»\n",
    "Haskell": "f x' = '\"' «-- yes»\n«{- a {- b -} -}»\n",
    "Ada": 'X := Y\'Image ("-- no"); «-- yes»\n',
    "Racket": '«#| a #| b |# |#» (display "; no") #\\; «; yes»\n',
    "Erlang": 'X = $%, Y = "% no". «% yes»\n',
    "TeX": "50\\% no «% yes»\n",
    "MATLAB": "a = b' «% yes»\nc = '% no'\n",
    "Fortran Free Form": "print *, 'it''s ! no' «! yes»\n",
    "Vim script": 'let x = "no"\n«" yes»\n',
    "Visual Basic .NET": "x = \"' no\" «' yes»\n«Rem yes»\nRemove x\n",
    "Batchfile": "«REM yes»\necho REM no\n«:: yes»\n",
    "OCaml": "«(* a (* b *) *)» let c = '\"' and t : 'a = f «(* yes *)»\n",
    "F#": "let x = 1 «// yes»\n«(* a *)»\n",
    "Pascal": "«{ a }» s := '// no'; «// yes»\n",
    "HTML": "<p>no</p> «<!-- a\nb -->»\n",
    "Clojure": '(str "; no") «; yes»\n',
    "Assembly": "mov %eax, $1 «# yes»\n«/* a */»\n",
    "COBOL": "MOVE '*> no' TO X. «*> yes»\n",
    "Forth": ": sq «( n -- n )» dup * ; «\\ yes»\n",
}


def _measured(langs, texts):
    plain = [text.replace("«", "").replace("»", "") for text in texts]
    return plain, comment_shares(plain, langs)


@pytest.mark.parametrize("lang", FILES)
def test_comments_and_nothing_else_are_counted(lang):
    """Comments within strings, escapes, here-documents and other comments are none; the share is exact."""
    text = FILES[lang]
    inside = text.split("«")[1:]
    wanted = sum(len(part.split("»")[0]) for part in inside)
    (plain,), (share,) = _measured([lang], [text])
    assert share * len(plain) == pytest.approx(wanted)


@pytest.mark.parametrize("lang", FILES)
def test_line_ends_change_nothing(lang):
    """With CR LF the comments have as many characters, of which CR LF is one."""
    text = FILES[lang].replace("«", "").replace("»", "")
    with_cr = text.replace("\n", "\r\n")
    one, other = comment_shares([text, with_cr], [lang, lang])
    assert other * len(with_cr) == pytest.approx(one * len(text))


def test_any_language_takes_any_bytes():
    """Every language reads the files of all others, cut anywhere, and gives a share of 0 to 1."""
    pieces = [text[: 1 + n * 7 % len(text)] for n, text in enumerate(FILES.values())]
    for lang in known_languages():
        shares = comment_shares(pieces, [lang] * len(pieces))
        assert np.all((shares >= 0) & (shares <= 1)), lang


def test_hostile_files_cost_linear_time():
    """Marks that are never closed make no search start again and again: 50 kB of each mark are read at once."""
    for lang in SYNTAX:
        for mark in SYNTAX[lang]:
            text = (mark.opens + "\\") * (50_000 // (len(mark.opens) + 1))
            assert 0 <= comment_shares([text], [lang])[0] <= 1
    heredocs = "".join(f"cat <<E{n}\n" for n in range(10_000))
    assert comment_shares([heredocs], ["Shell"])[0] == 0


def test_the_table_holds_what_the_lexer_reads():
    """Marks fit into a word; the languages of the report have lexers of their own."""
    assert all(0 < len(mark.opens.encode()) <= MOST_BYTES for marks in SYNTAX.values() for mark in marks)
    assert all(len(mark.closes.encode()) <= MOST_BYTES for marks in SYNTAX.values() for mark in marks)
    assert not {"Python", "Java", "JavaScript"} & set(SYNTAX)
    assert len(known_languages()) > 180
