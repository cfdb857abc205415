"""The negative control: which value of which test is changed, and into what."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval_multipl_e.languages import LANGUAGES
from eval_multipl_e.scoring_control import changed_program

# A test of each language in MultiPL-E's form, `@V@` where the expected value stands.
FORMS = {
    "py": "def check(candidate):\n    assert candidate([1, 2], 'a') == @V@\n\ncheck(f)\n",
    "js": "  assert.deepEqual(candidate([1, 2], 'a'),@V@);\n",
    "ts": "  assert.deepEqual(candidate([1, 2], 'a'),@V@);\n",
    "java": '    assert(f((new long[]{1l, 2l}), ("a")) == (@V@));\n',
    "scala": '    assert(f((List[Long](1l, 2l)), ("a")) == (@V@));\n',
    "cs": '    Debug.Assert(F((1L), ("a")) == (@V@));\n',
    "cpp": '    assert(candidate((std::vector<long>({(long)1, (long)2})), ("a")) == (@V@));\n',
    "d": '    assert(candidate([1L, 2L], "a") == @V@);\n',
    "swift": 'assert(f(x: [1, 2], y: "a") == @V@)\n',
    "ml": '  assert ((candidate ([1; 2]) ("a")) = (@V@));\n',
    "ada": '   pragma Assert (Candidate ([1, 2], "a") = @V@);\n',
    "go": '     { actual: candidate([]int{1, 2}, "a"), expected: @V@ },\n',
    "rs": '    assert_eq!(candidate(vec![1, 2], String::from("a")), @V@);\n',
    "sh": '    [[ $(candidate "1 2" "a") = "@V@" ]]\n',
    "lua": "    lu.assertEquals(candidate({1, 2}, 'a'), @V@)\n",
    "pl": '        if(eq_deeply($candidate->([1, 2], "a"),@V@)) {\n        print "ok!" }else{\n        exit 1;\n        }\n',
    "php": '    if (candidate(array(1, 2), "a") !== @V@) { throw new Exception("Test failed!"); }\n',
    "r": "    stopifnot(isTRUE(all.equal(candidate(c(1, 2), 'a'), @V@)))\n",
    "rb": '    assert_equal(@V@, candidate.call([1, 2], "a"))\n',
    "rkt": '    (check-within (candidate (list 1 2) "a") @V@ 0.001)\n',
    "clj": '  (is (= (candidate [1 2] "a") @V@))\n',
    "jl": '\t@test(candidate([1, 2], "a") == @V@)\n',
    "elixir": '    assert @V@ == candidate.([[1, 2], "a"])\n',
    "tcl": 'assert_equal [candidate [list 1 2] "a"] @V@\n',
    "scm": '(test-equal (candidate (list 1 2) "a") @V@)\n',
    "el": '  (should (equal (candidate (list 1 2) "a") @V@))\n',
    "pas": "  Assert(f(TInt64Array.Create(1, 2), 'a') = @V@);\n",
    "hs": '  if candidate [1, 2] "a" == @V@ then pure () else error "assertion failed"\n',
}
TRUE_AND_FALSE = {"py": ("True", "False"), "hs": ("True", "False"), "ada": ("True", "False"), "r": ("TRUE", "FALSE")}
TRUE_AND_FALSE |= {"rkt": ("#t", "#f"), "scm": ("#t", "#f"), "el": ("t", "nil"), "pas": ("True", "False")}


def _value(code, program):
    """The expected value of a program that has one test."""
    before, after = (re.escape(part) for part in FORMS[code].split("@V@"))
    return re.fullmatch(f"(?s){before}(.*){after}", program)[1]


def test_every_language_has_a_form():
    """The table of forms covers every language of the metric."""
    assert set(FORMS) == set(LANGUAGES)


@pytest.mark.parametrize("code", FORMS)
def test_only_the_expected_value_is_changed(code):
    """A number becomes another, a truth value its opposite, a text another text; the rest of the test stays."""
    for value in ("7", "30", "123456789012"):
        new = _value(code, changed_program(code, FORMS[code].replace("@V@", value)))
        assert new.lstrip("abcdefghijklmnopqrstuvwxyz") != value or code == "sh"
        assert new != value
    true, false = TRUE_AND_FALSE.get(code, ("true", "false"))
    if code not in {"sh", "pl"}:
        assert _value(code, changed_program(code, FORMS[code].replace("@V@", true))) == false
        assert _value(code, changed_program(code, FORMS[code].replace("@V@", false))) == true
        quoted = _value(code, changed_program(code, FORMS[code].replace("@V@", '"one (two"')))
        assert re.fullmatch(r'"[a-z]one \(two"', quoted)


@pytest.mark.parametrize("code", FORMS)
def test_another_test_lends_its_value(code):
    """With a second test of the same kind, the changed value is that test's: nothing about it looks made up."""
    if code in {"sh", "pl"}:  # texts of Bash are digits; the form of Perl is several lines
        return
    lines = FORMS[code].replace("@V@", "5") + FORMS[code].replace("@V@", "8")
    expected = FORMS[code].replace("@V@", "5") + FORMS[code].replace("@V@", "5")
    assert changed_program(code, lines) == expected


def test_a_test_that_the_prompt_gives_away_is_left_alone():
    """The value changed is that of the last test whose call is no example of the prompt."""
    tests = "  assert.deepEqual(candidate([1]),1);\n  assert.deepEqual(candidate([2]),2);\n"
    new = changed_program("js", f"// >>> f([2])\n// 2\n{tests}")
    assert new == f"// >>> f([2])\n// 2\n{tests}".replace(",1)", ",2)")


@pytest.mark.parametrize(
    ("code", "old", "new"),
    [
        (
            "java",
            "assert(f((1l)).equals((Pair.with(8l, 13l))));",
            r"assert\(f\(\(1l\)\).equals\(\(Pair.with\(\d8l, 13l\)\)\)\);",
        ),
        (
            "cs",
            "Debug.Assert(F((1L)).SequenceEqual((new List<long>(new long[]{(long)3L}))));",
            r".*\(long\)\d3L\}\)\)\)\);",
        ),
        ("cpp", "assert(candidate(1) == (std::vector<int32_t>({3})));", r".*<int32_t>\(\{\d3\}\)\)\);"),
        ("ada", "pragma Assert (Candidate (1) = (Valid => True, Value => 4));", r".*Valid => True, Value => \d4\)\);"),
        ("py", "def check(f):\n    assert abs(f(3.5) - 0.5) < 1e-6\n", r".*abs\(f\(3.5\) - \d0.5\) < 1e-6\n"),
        ("py", "    results = [[1], [2]]\n", r"    results = \[\[\d1\], \[2\]\]\n"),
        ("py", "    assert f(s) == s\n", r"    assert not \(f\(s\) == s\)\n"),
        ("py", "    assert f('a)') == [\n        'b', 1]\n", r".*'b', \d1\]\n"),
        (
            "hs",
            "main = if (candidate (0) == (3)) && (candidate (2) == (3)) then x",
            r".*\(candidate \(2\) == \(\d3\)\) then x",
        ),
        ("elixir", "    assert HumanEval.candidate(0) == 3\n", r"    assert HumanEval.candidate\(0\) == \d3\n"),
    ],
)
def test_values_of_other_shapes(code, old, new):
    """Collections, options, tolerances and values over several lines are changed inside, never beside."""
    assert re.fullmatch(f"(?s){new}", changed_program(code, old))


@pytest.mark.parametrize("code", FORMS)
def test_what_has_no_test_is_left_alone(code):
    """A program without a test of MultiPL-E's form, or with a value that holds no literal, is not changed."""
    assert changed_program(code, "x = 1\n") is None
    if code not in {"py", "sh"}:
        assert changed_program(code, FORMS[code].replace("@V@", "nothing")) is None


@given(st.sampled_from(sorted(FORMS)), st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_taken(code, before, after):
    """Whatever stands round a test, the change raises nothing and gives another text of one value's difference."""
    program = f"{before}\n{FORMS[code].replace('@V@', '5')}{after}"
    new = changed_program(code, program)
    assert new is None or new != program


def test_a_text_of_brackets_takes_no_hours():
    """Ten thousand tests that never close are looked at in part only."""
    assert changed_program("js", "assert.deepEqual((\n" * 10_000) is None
