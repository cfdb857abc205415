"""Programs as a reward: TRL's signature, threads and async loops, toolchains, columns that do not fit."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from eval_multipl_e import reward
from eval_multipl_e.errors import EvalError
from eval_multipl_e.suite.rewarding import Reward

PROMPT = "def f(x):\n"
TESTS = "def check(f):\n    assert f(1) == 2\n    assert f(5) == 6\ncheck(f)"


def problem(**changed):
    return {"prompt": PROMPT, "tests": TESTS, "language": "py", "stop_tokens": ["\ndef"], **changed}


@pytest.fixture(scope="module")
def rewarding():
    os.environ["HF_ALLOW_CODE_EVAL"] = "1"
    made = Reward(num_workers=2)
    yield made
    made.close()


RIGHT, WRONG = "    return x + 1\ndef rest(:\n", "    return x\n"


def test_a_batch_is_rewarded_by_its_tests(rewarding):
    """A pass is 1, all else 0: a wrong value, no syntax, an early exit, success printed, tests that decide nothing."""
    cheats = ["    exit(0)", "    class A:\n        __eq__ = lambda *_: True\n    return A()", "    return (", ""]
    texts = [RIGHT, WRONG, *cheats]
    assert [1.0] + [0.0] * 5 == rewarding(texts, [problem() for _ in texts])


def test_the_columns_of_a_trainer_make_the_problems():
    """TRL's call, with prompts, ids, the data set's columns and more that nothing here knows, gives a float each."""
    logged = {}
    found = reward(
        prompts=[PROMPT, PROMPT],
        completions=[RIGHT, WRONG],
        completion_ids=[[1], [2]],
        tests=[TESTS, TESTS],
        language=["py", "py"],
        stop_tokens=[["\ndef"], []],
        name=["a", "b"],
        trainer_state=object(),
        log_metric=logged.__setitem__,
    )
    assert ([1.0, 0.0], {float}) == (found, set(map(type, found)))
    assert 0.5 == logged["reward/OK"]


def test_messages_are_answers_of_a_chat_model(rewarding):
    """The last message's fenced code counts; its prompt is the column code_prompt."""
    asked = [{"role": "user", "content": "Write f."}]
    answers = [
        [{"role": "assistant", "content": f"<think>x</think>Yes:\n```python\n{PROMPT}    return x + 1\n```"}],
        [{"role": "assistant", "content": "No."}],
        [],
    ]
    columns = {"tests": [TESTS] * 3, "language": ["py"] * 3}
    assert [1.0, 0.0, 0.0] == rewarding(answers, prompts=[asked] * 3, code_prompt=[PROMPT] * 3, **columns)
    with pytest.raises(EvalError, match="code_prompt"):
        rewarding(answers, prompts=[asked] * 3, **columns)


def test_threads_and_async_loops_get_their_own_numbers(rewarding):
    """Calls from many threads and coroutines at once do not mix, and each gives what it would give alone."""
    batches = [[RIGHT if (i + j) % 3 else WRONG for j in range(4)] for i in range(6)]
    wanted = [[float(text == RIGHT) for text in batch] for batch in batches]
    rows = [problem() for _ in range(4)]
    with ThreadPoolExecutor(6) as pool:
        assert wanted == list(pool.map(lambda batch: rewarding(batch, rows), batches))

    async def gathered():
        return await asyncio.gather(*(rewarding.call_async(batch, rows) for batch in batches))

    assert wanted == asyncio.run(gathered())


def test_values_by_status_shape_a_reward():
    """Numbers of one's own are given by status; a status that does not exist is refused."""
    shaped = Reward(values={"OK": 2.0, "AssertionError": 0.5, "SyntaxError": -1.0}, num_workers=1)
    assert [2.0, 0.5, -1.0] == shaped([RIGHT, WRONG, "  ("], [problem()] * 3)
    shaped.close()
    with pytest.raises(EvalError, match="'Passed'"):
        Reward(values={"Passed": 1.0})


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"completions": "text", "problems": []}, "not a list"),
        ({"completions": ["a"], "problems": []}, "1 completions and 0 problems"),
        ({"completions": ["a"], "prompts": ["p"], "tests": ["t", "t"], "language": ["py"]}, "2 of 'tests'"),
        ({"completions": ["a"], "prompts": ["p"], "language": ["py"]}, "'tests'"),
        ({"completions": ["a"], "problems": [problem(language="klingon")]}, "klingon"),
    ],
)
def test_what_does_not_fit_is_refused(rewarding, columns, said):
    """A batch that could not be rewarded as meant is an error with what was seen."""
    with pytest.raises(EvalError, match=said):
        rewarding(**columns)


def test_the_gate_is_asked(monkeypatch):
    """Nothing runs before the user has allowed programs of a model."""
    monkeypatch.delenv("HF_ALLOW_CODE_EVAL", raising=False)
    with pytest.raises(EvalError, match="HF_ALLOW_CODE_EVAL"):
        Reward()


def test_warm_python_says_what_cold_says():
    """Output, exit codes, handlers at exit, threads and errors are the same from a forked interpreter as from a new one."""
    from eval_multipl_e import score

    programs = [
        "print(__name__, __file__, [w for w in globals() if w[0] != '_'])",
        "import sys; print(sys.argv, sys.stdin.read()); sys.exit(3)",
        "import atexit, threading, time\natexit.register(print, 'last')\nthreading.Thread(target=lambda: (time.sleep(.1), print('thread'))).start()",
        "raise ValueError('x')",
        "def f(:",
        "import os; os.write(2, b'err'); os._exit(5)",
        "import subprocess; print(subprocess.run(['echo', 'hi'], capture_output=True).stdout)",
        "import multiprocessing.pool as p; print(p.ThreadPool(2).map(abs, [-1, -2]))",
        "assert 1 == 2, 'no'",
        "import random, ctypes, typing; print(len({random.random() for _ in range(5)}))",
    ]
    rows = [
        [
            {key: row[key] for key in ("status", "exit_code", "stdout")}
            for row in score([programs], [""], ["py"], mode="compat", speed=speed, num_workers=2)["results"]
        ]
        for speed in ("warm", "cold")
    ]
    assert rows[0] == rows[1]
