"""A server as the model: its answers, its faults, and the same file as without it."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from eval_multipl_e.errors import EvalError
from eval_multipl_e.suite.chat import ChatRequest
from eval_multipl_e.suite.completing import AnswerSettings, GapPrompt, complete_to_file
from eval_multipl_e.suite.problems import WholeProgram, read_completions
from eval_multipl_e.suite.served import ServedModel

GREEDY = AnswerSettings(temperature=0)
PROBLEMS = [
    {
        "name": f"p{i}",
        "language": "py",
        "prompt": f"def f{i}(x):\n",
        "tests": f"assert f{i}(1) == 1",
        "stop_tokens": ["\ndef"],
    }
    for i in range(3)
]


class Server:
    """A loopback server that answers by `respond(path, body, number of earlier requests) -> (status, headers, bytes)`."""

    def __init__(self, respond):
        self.seen, lock = [], threading.Lock()

        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                with lock:
                    number = len(seen)
                    seen.append((self.path, body))
                status, headers, data = respond(self.path, body, number)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = answer  # noqa: N815  # the library's names

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"


@pytest.fixture
def serve():
    made = []

    def start(respond):
        made.append(Server(respond))
        return made[-1]

    yield start
    for server in made:
        server.http.shutdown()
        server.http.server_close()


def good(path, body, _=0, *, model="m", reason="stop"):
    """Answers that depend on the prompt and the seed alone; chat answers hold a fence."""
    if path.endswith("/models"):
        return 200, {}, json.dumps({"data": [{"id": model}]}).encode()
    if "messages" in body:
        code = body["messages"][-1]["content"].split("```")[1].partition("\n")[2]
        texts = [{"message": {"content": f"<think>hm</think>Here:\n```python\n{code}    return x\n```"}}] * body["n"]
    else:
        texts = [{"text": f"    return x  # {body['seed'] + i}\ndef more"} for i in range(body["n"])]
    return 200, {}, json.dumps({"model": model, "choices": [{**t, "finish_reason": reason} for t in texts]}).encode()


def prompts(n=2, suffix=None):
    return [
        GapPrompt(row["prompt"], suffix, ("\ndef",), f"{row['name']}/{i}", row) for row in PROBLEMS for i in range(n)
    ]


def test_samples_of_a_problem_go_by_one_request(serve):
    """Each problem is asked once for all its samples, with a seed; texts end at the stop."""
    server = serve(good)
    found = ServedModel(server.url, "m", AnswerSettings(temperature=0.5))(prompts())
    assert [2, 2, 2] == [body["n"] for _, body in server.seen]
    assert 6 == len({each.text for each in found})
    assert {("stop", 0)} == {(each.end, each.left_out) for each in found}
    assert all(each.text.startswith("    return x  # ") and "def" not in each.text for each in found)


def test_a_server_without_n_is_asked_for_each_sample(serve):
    """Where fewer choices come back than were asked, each sample has a request with a seed of its own."""
    server = serve(lambda path, body, _: good(path, {**body, "n": 1}))
    found = ServedModel(server.url, "m", AnswerSettings(temperature=0.5))(prompts())
    assert 6 == len({each.text for each in found})


@pytest.mark.parametrize(
    "fault",
    [
        (429, {"Retry-After": "7"}, b"slow down"),
        (500, {}, b"oops"),
        (200, {}, b'{"model": "m", "choi'),
        (200, {}, b'{"model": "m", "choices": []}'),
        (200, {}, b'{"model": "m", "choices": [{"text": null}]}'),
        (200, {}, b'{"model": "m", "choices": ["text"]}'),
        (200, {}, b"[]"),
        (200, {}, b"[" * 100_000),
        (200, {}, b"<html>busy</html>"),
    ],
)
def test_what_fails_once_is_asked_again(serve, fault):
    """Too many requests, a fault, half a JSON and an empty choice are tried again, after the time that was asked for."""
    server = serve(lambda path, body, number: fault if number == 0 else good(path, body))
    waits = []
    model = ServedModel(server.url, "m", GREEDY, sleep=waits.append)
    assert "    return x" in model(prompts(1)[:1])[0].text
    assert 1 == len(waits)
    if "Retry-After" in fault[1]:
        assert [7.0] == waits


@pytest.mark.parametrize(
    ("answer", "said", "requests"),
    [
        (lambda *_: (503, {}, b"busy"), "failed 3 times, last by HTTP 503: busy", 3),
        (lambda *_: (302, {"Location": "file:///etc/passwd"}, b""), "refuses the request with HTTP 302", 1),
        (lambda *_: (400, {}, b"no such model"), "refuses the request with HTTP 400: no such model", 1),
        (lambda path, body, _: good(path, body, model="other"), "answered as model 'other'", 1),
    ],
)
def test_what_fails_for_good_is_one_error(serve, answer, said, requests):
    """A server that goes on failing, refuses, or answers as another model ends the run with what it said."""
    server = serve(answer)
    with pytest.raises(EvalError, match=said):
        ServedModel(server.url, "m", GREEDY, retries=2, sleep=lambda _: None)(prompts(1)[:1])
    assert requests == len(server.seen)


@pytest.mark.parametrize("chat", [None, ChatRequest()])
@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_answer_that_never_came_to_a_text_is_empty(serve, chat, reason):
    """A model that reasoned up to its limit, or that a filter stopped, has no text: it is not asked again without end."""
    choice = {"message": {"content": None, "reasoning_content": "hm"}, "text": None, "finish_reason": reason}
    server = serve(lambda *_: (200, {}, json.dumps({"model": "m", "choices": [choice]}).encode()))
    (found,) = ServedModel(server.url, "m", AnswerSettings(chat=chat, temperature=0), retries=0)(prompts(1)[:1])
    assert ("", reason == "length") == (found.text, found.end == "length")


def test_the_server_is_looked_at_before_any_work(serve):
    """No server, another list of models and an address that is none are refused; a server without a list is not."""
    with pytest.raises(EvalError, match="serves other, not 'm'"):
        ServedModel(serve(lambda path, body, _: good(path, body, model="other")).url, "m", GREEDY).check()
    ServedModel(serve(lambda *_: (404, {}, b"")).url, "m", GREEDY).check()
    with pytest.raises(EvalError, match="failed by URLError"):
        ServedModel("http://127.0.0.1:9/v1", "m", GREEDY).check()
    with pytest.raises(EvalError, match="Give the address"):
        ServedModel("localhost:8000", "m", GREEDY)


def test_a_gap_is_spelled_in_the_form_that_is_named(serve):
    """Sentinels go as text; without a form a gap is refused, and no sentinel stays in an answer."""
    server = serve(lambda *_: (200, {}, b'{"choices": [{"text": " x<|endoftext|>y"}]}'))
    (found,) = ServedModel(server.url, "m", AnswerSettings(form="starcoder", temperature=0))(prompts(1, "tail")[:1])
    assert "<fim_prefix>def f0(x):\n<fim_suffix>tail<fim_middle>" == server.seen[0][1]["prompt"]
    assert (" x", "stop") == (found.text, found.end)
    with pytest.raises(EvalError, match="Name the form"):
        ServedModel(server.url, "m", GREEDY)(prompts(1, "tail"))


def test_chat_answers_become_programs_and_a_kill_changes_nothing(serve, tmp_path):
    """A chat model's whole programs are kept with its answers; a run that was killed ends in the bytes of another."""
    server = serve(good)
    settings = {"form": "chat"}

    def run(out, respond=None):
        asked = AnswerSettings(chat=ChatRequest("Be brief."), temperature=0)
        model = ServedModel((respond or server).url, "m", asked, retries=0)
        return complete_to_file(PROBLEMS, model, out, settings=settings, n=2, batch_size=2)

    whole, killed = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    run(whole)
    with pytest.raises(EvalError, match="500"):
        run(killed, serve(lambda path, body, number: good(path, body) if number < 2 else (500, {}, b"")))
    assert 4 == run(killed)["kept"]
    assert whole.read_bytes() == killed.read_bytes()
    assert "Be brief." == server.seen[0][1]["messages"][0]["content"]
    rows = read_completions(whole)
    assert all(isinstance(text, WholeProgram) for row in rows for text in row["completions"])
    assert Counter({"program": 6}) == Counter(json.loads(line)["chat"] for line in whole.read_text().splitlines())


def test_the_command_completes_and_scores_by_a_server(serve, tmp_path, monkeypatch, capsys):
    """`eval complete --base-url --chat` and `eval score` give pass@1 = 1 for a server that answers rightly."""
    from hf_santa.cli import build_parser

    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PROBLEMS))

    def command(*words):
        args = build_parser().parse_args(["eval", *map(str, words)])
        return args.func(args)

    common = ["--task", "humaneval-py", "--problems", tmp_path / "p.jsonl"]
    asked = ["--base-url", serve(good).url, "--chat", "--model", "m", "--samples", 1, "--temperature", 0]
    assert 0 == command("complete", *common, *asked, "--out", tmp_path / "c.jsonl", "--json")
    assert 3 == json.loads(capsys.readouterr().out)["rows"]
    assert 0 == command("score", tmp_path / "c.jsonl", *common, "--out", tmp_path / "r.json", "--json")
    assert 1.0 == json.loads(capsys.readouterr().out)["pass@1"]
    settings = json.loads((tmp_path / "r.json").read_text())["settings"]
    assert ("chat", "server") == (settings["form"], settings["backend"])
    # The run goes on with another server of the model, and no address gets into what is published.
    asked[1] = serve(good).url
    assert 0 == command("complete", *common, *asked, "--out", tmp_path / "c.jsonl", "--json")
    assert 3 == json.loads(capsys.readouterr().out)["kept"]
    assert "127.0.0.1" not in (tmp_path / "r.json").read_text()
