"""Answers of chat models: what of them is code, and how it joins its prompt."""

import pytest

from eval_multipl_e.suite.chat import code_of_answer, function_name, without_reasoning

PY = {
    "language": "py",
    "prompt": 'from typing import List\n\ndef f(x: int) -> int:\n    """Give x.\n    >>> f(1)\n    1\n    """\n',
    "tests": "assert f(1) == 1",
    "stop_tokens": ["\ndef", "\nif"],
}
JAVA = {
    "language": "java",
    "prompt": "import java.util.*;\nclass Problem {\n    // g(1)\n    public static long g(long x) {\n",
    "tests": "    }\n    public static void main(String[] args) {\n    assert(g(1) == 1);\n    }\n}\n",
    "stop_tokens": ["\n    }\n"],
}


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        ("Sure!\n```python\ndef f(x):\n    return x\n```\nIt works.", "program"),
        ("<think>def f(x): no</think>\n```py\ndef f(x):\n    return x\n```", "program"),
        ("only its end</think>\n```\ndef f(x):\n    return x\n```", "program"),
        ("```python\nprint(f(1))\n```\n```python\ndef f(x):\n    return x\n```\n```js\nlet f;\n```", "program"),
        ("~~~python\nreturn x\n~~~", "body"),
        ("```python\n    return x\n```", "body"),
        ("def f(x):\n    return x", "program"),
        ("```python\ndef f(x):\n    return x\n", "program"),
    ],
)
def test_the_code_of_an_answer_makes_a_program_that_passes(answer, how):
    """Whatever stands around it, the code joins its prompt and its tests to a whole program that runs."""
    found = code_of_answer(answer, PY)
    program = ("" if found.is_program else PY["prompt"]) + found.text + "\n" + PY["tests"]
    assert how == found.how
    exec(compile(program, "program", "exec"), {})  # our own text
    assert "```" not in program


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        ("I am sorry, but I can not help with that. Please ask again.", "no code"),
        ("", "no code"),
        ("<think>For ever and ever", "no code"),
        ("```rust\nfn f() {}\n```", "other language"),
    ],
)
def test_an_answer_without_our_code_is_empty_and_says_why(answer, how):
    """No prose and no other language is taken for a program."""
    assert (how, "") == ((found := code_of_answer(answer, PY)).how, found.text)


def test_what_the_tests_close_is_left_open():
    """Where tests begin with a closing brace, only the inside of the function is kept, whatever braces it holds."""
    whole = (
        "```java\nimport java.util.*;\nclass Problem {\n    public static long g(long x) {\n"
        '        String s = "}"; // }\n        if (x > 1) { return x; }\n        return x;\n    }\n}\n```'
    )
    found = code_of_answer(whole, JAVA)
    assert "function" == found.how
    assert '        String s = "}"; // }\n        if (x > 1) { return x; }\n        return x;' == found.text.rstrip()


def test_the_imports_of_the_prompt_are_restored():
    """An answer that repeats the function but not what stood above it gets that back."""
    assert code_of_answer("```python\ndef f(x: List): return x\n```", PY).text.startswith("from typing import List\n")


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("#lang racket\n;; doc (f 1)\n(define (add_one x)\n", "add_one"),
        ("car <- function(n) {", "car"),
        ("#!/bin/bash\n# $(f)\nlength() {\n", "length"),
        ("using namespace std;\nstd::vector<long> sorted(std::vector<long> a) {\n", "sorted"),
        ("/// f(1)\nfn half(x: isize) -> isize {\n", "half"),
        ("nothing here", ""),
    ],
)
def test_the_function_of_a_prompt_is_found(prompt, name):
    """The last declaration counts, in the syntax of each language; comments do not."""
    assert name == function_name(prompt)


def test_reasoning_alone_is_dropped():
    """A fence in the reasoning is no answer, and text without reasoning stays as it is."""
    assert "x" == without_reasoning("<think>```python\ny\n```</think>\n\nx")
    assert "\n a" == without_reasoning("\n a")
