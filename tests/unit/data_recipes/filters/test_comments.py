"""Comment shares: the lexers against tokenize, ast and pygments, and with and without numba."""

import importlib
import math
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_recipes.engine.jit import VARIABLE
from data_recipes.errors import DataError
from data_recipes.filters.comments import COMMENT_LANGUAGES, comment_shares
from data_recipes.filters.comments_oracle import comment_share_reference

_PYTHON = [
    "x = 1  # one ## two\n#\n#   \n",
    '"""Module.\n\n   Indented.\n"""\nimport os  # why  \n',
    "def f():\n    r'''Raw \\n\n\n      deeper\n    text\n    '''\n    return 1\n",
    "class A:\n    'one' \"two\"\n    def f(self): 'inline'; return 1\n",
    'class A:\n\t"""Tabs\n\n\t\tin it\n\t"""\n',
    "def f(a: 'no doc' = ':', *, b={1: 2}) -> 'x':\n    'doc'\n",
    "def f():\n    '''a\\tb \\x41 \\u0041 \\N{BULLET} \\101 joined \\\n    line'''\n",
    "if True:\n    'no docstring'\nx = 'none'\n'nor this'\n",
    "b'bytes'\nf'{1}'\n",
    "def f():\n    'x'.join([])\n",
    "def f():\n    'one', 'two'\n",
    "s = '''# no comment\n''' # yes\nt = '# no' + \"#\"\n",
    "x = [  # open\n  1,\n]  # close\ny = 1 + \\\n  2  # joined\n",
    "\ufeff# bom\nx = 1\n",
    "x = 1\r\n# windows\r\n'''no\r\ndoc'''\r\n",
    "@decorated\nclass A(B, metaclass=C):\n\n    # before\n\n    '''doc é ü'''\n\n    x: int = 1e-06 + 0x1F + 1_000 + .05\n",
    "def f(x): return lambda y: y  # lambda\n",
    "",
    "\n\n",
    "print('call')\nexec('code')\nprint\n",
]
_PYTHON_BROKEN = [
    "# text\nprint 'statement'\ndef f():\n    'docstring'\n",
    "# text\ndef f():\n    'docstring'\n    raise E, 'x'\n",
    "# text\ndef f():\n    'docstring'\n    try: pass\n    except E, e: pass\n",
    "# text\ndef f():\n    'docstring'\n    return `x`\n",
    "# text\ndef f():\n    'docstring'\n    return 0755 + 10L\n",
    "# text\ndef f():\n    'docstring'\n    return ur'x' <> y\n",
    "# text\ndef f():\n    'docstring'\n    return sorted(x, key=lambda (a, b): a)\n",
    "# text\ndef f():\n    'docstring'\n    x = $y\n",
    "# text\n!pip install x\n'''doc'''\n",
    "# text\nx = (\n",
    "# text\n'''open\n",
    "# text\nif x:\n        y\n    z\n",
]
# tokenize takes these otherwise from Python 3.12 on. The shares are those that Python 3.11 gives.
_PYTHON_AS_OF_3_11 = {
    "# text\ndef f():\n        'docstring'\n\treturn 1\n": 4 / 46,
    "# text\nx = )\n": 0,
    "# text\ndef f():\n    'open\n": 4 / 26,
}
_JAVASCRIPT = [
    "a = 1 /* foo */ + b; // bar\n",
    "a = /\\/*x/ ; // yes\n`a ${ b /* c */ } // no`\n'//'\n",
    "#!/usr/bin/env node\n// text\n",
    "x = a / b; // c / d\ny = a\n  /re[/]x/.test(s) // e\n",
    "return /[/*]/g /* real */\n",
    "f(`${g(`${1 /* deep */}`)} // no`) // yes\n",
    "/* never closed\n// line\n",
    "'it\\'s // no' + \"\\\\\" // yes\n",
    "/* é */ // ü\r\n/* a\r\nb */\r\n",
    "<!-- html\n// yes\n--> no\n",
    "x = {a: 1} / 2 // c\n",
    "",
]
_JAVA = [
    'String s = "/*"; /** doc */ char c = \'"\'; // x\n',
    "char q = '\\''; /* a */ char r = '\\\\'; // b\n",
    'var t = """\n  // no "" /* no */\n  """; // yes\n',
    "/* never closed\n",
    "int a = b / c; // d\n/**/ /***/ //\n",
    "/* a\r\n b */\n",
    "",
]
_CASES = [
    *(("Python", text) for text in [*_PYTHON, *_PYTHON_BROKEN]),
    *(("JavaScript", text) for text in _JAVASCRIPT),
    *(("Java", text) for text in _JAVA),
]


@pytest.mark.parametrize(("lang", "content"), _CASES)
def test_the_share_is_that_of_the_reference(lang, content):
    """Comments and docstrings weigh what tokenize, ast and pygments give, in sound files and broken ones."""
    (share,) = comment_shares([content], [lang])
    assert share == pytest.approx(comment_share_reference(content, lang), abs=1e-12)


@pytest.mark.parametrize("content", _PYTHON_AS_OF_3_11)
def test_the_share_of_a_broken_file_is_the_same_on_every_python(content):
    """What the running Python makes of a broken file changes no data; on 3.11 the reference gives the same."""
    expected = pytest.approx(_PYTHON_AS_OF_3_11[content], abs=1e-12)
    assert expected == comment_shares([content], ["Python"])[0]
    if sys.version_info < (3, 12):
        assert expected == comment_share_reference(content, "Python")


def test_docstrings_of_async_functions_count():
    """The report's code overlooks the docstrings of async functions; here they count."""
    content = "async def f():\n    'docstring'\n"
    assert comment_share_reference(content, "Python") == 0
    assert comment_shares([content], ["Python"])[0] == len("docstring") / len(content)


_PIECES = st.sampled_from(
    ["# c\n", "'s'", '"""d"""', "\n", "    ", "def f():\n    ", "class A:\n    ", "x = 1\n", "\\\n", "é", ":", ";"]
)


@given(st.lists(_PIECES, max_size=14).map("".join))
@settings(deadline=None, max_examples=300)
def test_python_that_parses_has_the_share_of_the_reference(content):
    """Whatever pieces a file is put together from, if it parses its share is that of tokenize and ast."""
    try:
        compile(content, "x.py", "exec")
    except (SyntaxError, ValueError):
        return
    (share,) = comment_shares([content], ["Python"])
    assert share == pytest.approx(comment_share_reference(content, "Python"), abs=1e-12)


@given(st.lists(st.text(max_size=60), max_size=8), st.sampled_from(COMMENT_LANGUAGES))
@settings(deadline=None)
def test_any_text_has_a_share_between_none_and_all(contents, lang):
    """No text breaks a lexer, reads beyond its end or depends on its neighbours."""
    shares = comment_shares(contents, [lang] * len(contents))
    alone = [comment_shares([text], [lang])[0] for text in contents]
    assert shares.tolist() == alone
    assert all(0 <= share <= 1 for share in alone)


def test_other_languages_have_no_share():
    """A language without a lexer is NaN, a null or empty content 0; the order of rows is kept."""
    column = pa.chunked_array([["fn x() {}", None], ["// a", ""]], pa.string())
    shares = comment_shares(column, ["Brainfuck", "Java", "JavaScript", "Python"])
    assert math.isnan(shares[0])
    assert shares[1:].tolist() == [0, 1, 0]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary()])
def test_slices_of_arrow_columns_are_read_in_place(kind):
    """A slice of any string type, with threads or without, gives the shares of its rows."""
    texts = [f"x = {n}  # {'c' * n}\n" for n in range(600)]
    column = pa.array([text.encode() for text in texts], pa.binary()).cast(kind).slice(100, 400)
    expected = comment_shares(texts[100:500], ["Python"] * 400)
    for threads in (1, 3):
        assert np.array_equal(comment_shares(column, ["Python"] * 400, threads), expected)
    assert comment_shares(pa.array([], kind), []).tolist() == []


@pytest.mark.parametrize(
    ("lang", "content"),
    [
        ("JavaScript", "/[" * 200_000),
        ("JavaScript", "`${" * 200_000),
        ("JavaScript", "/*" * 200_000),
        ("Java", '"""' * 200_000),
        ("Python", "(" * 400_000),
        ("Python", "lambda " * 100_000),
        ("Python", "'" * 400_001),
        ("Python", "\n".join(" " * n + "if x:" for n in range(300))),
    ],
)
def test_hostile_files_take_linear_time(lang, content):
    """Files made of openings that never close are read once, not once an opening."""
    assert 0 <= comment_shares([content], [lang])[0] <= 1


def test_the_plain_engine_gives_the_same_shares(monkeypatch):
    """The plain Python form of the lexers gives equal numbers, bit for bit."""
    langs, contents = [lang for lang, _ in _CASES], [content for _, content in _CASES]
    expected = comment_shares(contents, langs)
    monkeypatch.setenv(VARIABLE, "numpy")
    for name in (
        "engine.jit",
        "filters.lexer_python_strings",
        "filters.lexer_python",
        "filters.lexer_c_family",
        "filters.lexer_table",
        "filters.comments",
    ):
        monkeypatch.delitem(sys.modules, f"data_recipes.{name}")
    plain = importlib.import_module("data_recipes.filters.comments")
    assert sys.modules["data_recipes.engine.jit"].engine_name() == "numpy"
    assert np.array_equal(plain.comment_shares(contents, langs), expected)


def test_the_reference_names_what_it_lacks(monkeypatch):
    """Without pygments, or a lexer in it, the reference says so."""
    with pytest.raises(DataError, match="pygments has no lexer for 'Nonsense'"):
        comment_share_reference("x", "Nonsense")
    monkeypatch.setitem(sys.modules, "pygments", None)
    with pytest.raises(DataError, match=r"counts comments with pygments, which is not installed\. pip install"):
        comment_share_reference("x", "Java")
