"""The Space served by its own process, called by gradio_client and by a browser."""

import asyncio
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from gradio_client import Client
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from .space_driver import (
    CHROMIUM,
    free_port,
    run_to_end,
    running_space,
    save_tiny_model,
    write_index,
)

pytestmark = pytest.mark.slow

SPACED = "\r\n  \tdef f():\n    return {}  # \u2603 \U0001f385 e\u0301\n\t\n \n"


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """One served Space for the whole module: 64 narrow layers make a small file that writes slowly enough to stop."""
    model = save_tiny_model(tmp_path_factory.mktemp("model") / "tiny", n_layer=64, n_positions=1024)
    write_index(
        model / "training.index", "def lonely(): pass  # the only line of the training data, of 50 characters\n"
    )
    with running_space(model, tmp_path_factory.mktemp("space"), HF_SANTA_CONCURRENCY="2", HF_SANTA_MCP="1") as running:
        yield running


@pytest.fixture(scope="module")
def client(space):
    return patient_client(space)


# The named API


def test_complete_continues_the_prompt(client):
    """The answer is the prompt followed by what was generated, with its facts."""
    prompt = SPACED.format(1)
    answer = client.predict(prompt, max_new_tokens=8, temperature=1.0, api_name="/complete")
    assert answer["text"] == prompt + answer["generated"]
    assert (answer["tokens"], answer["finish_reason"], answer["model"]) == (8, "length", "tiny")
    assert answer["fingerprint"].startswith("weights sha256 ")
    assert answer["seen_in_training_data"] == []


@pytest.mark.parametrize("marker", ["<FILL_HERE>", "<FILL-HERE>"])
def test_infill_keeps_both_sides_exactly(client, marker):
    """Leading white space, trailing line breaks, CRLF and non-ASCII text around the gap come back unchanged."""
    prefix, suffix = SPACED.split("{}")
    answer = client.predict(prefix + marker + suffix, max_new_tokens=8, temperature=1.0, api_name="/infill")
    assert answer["text"] == prefix + answer["generated"] + suffix
    assert answer["generated"]


def test_the_api_streams(client):
    """The chunks of one request grow, and only the last one has a finish reason."""
    job = client.submit("x = ", max_new_tokens=60, temperature=1.0, api_name="/complete")
    job.result()
    tokens = [chunk["tokens"] for chunk in job.outputs()]
    assert len(tokens) > 2
    assert tokens == sorted(tokens)
    assert [chunk["finish_reason"] for chunk in job.outputs()] == [None] * (len(tokens) - 1) + ["length"]


def test_a_seed_gives_one_text_whoever_else_is_asking(client):
    """Two visitors served at once get, for each seed, the text that a lone visitor gets."""

    def text(seed):
        return client.predict("def f(", max_new_tokens=16, temperature=1.0, seed=seed, api_name="/complete")[
            "generated"
        ]

    alone = [text(seed) for seed in (1, 2, 1, 3)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(text, (1, 2, 1, 3)))
    assert together == alone
    assert len({*alone}) == 3


@pytest.mark.parametrize(
    ("prompt", "changes", "words"),
    [
        ("x = 1", {}, "no <FILL_HERE> marker"),
        ("", {}, "no <FILL_HERE> marker"),
        ("<FILL_HERE> <FILL-HERE>", {}, "2 markers"),
        ("<FILL_HERE>" + "x" * 1_000_000, {}, "at most 100,000"),
        (7, {}, "must be a string"),
        ("<FILL_HERE>", {"max_new_tokens": 10**6}, "max_new_tokens=1000000 is out of range"),
        ("<FILL_HERE>", {"temperature": -1}, "temperature=-1 is out of range"),
        ("<FILL_HERE>", {"top_p": "most"}, "top_p arrived as str"),
        ("<FILL_HERE>", {"seed": 1.5}, "seed=1.5 is out of range"),
    ],
)
def test_a_bad_request_is_refused_in_words(client, prompt, changes, words):
    """The error names what was seen and what to do, and quotes nothing of a long text."""
    with pytest.raises(Exception, match=words) as refusal:
        client.predict(prompt, **changes, api_name="/infill")
    assert len(str(refusal.value)) < 250


@contextmanager
def full_queue(space):
    """Keep two long requests running and 20 short ones waiting; at the end the long ones are cancelled.

    Each long request has a client of its own, and no waiting one is cancelled: gradio cancels by session, and a
    waiting request that starts while it is being cancelled runs to its end before gradio answers.
    """
    others = [patient_client(space) for _ in range(2)]
    long = [other.submit("x", max_new_tokens=512, temperature=1.0, api_name="/complete") for other in others]
    try:
        while not all(job.outputs() for job in long):
            time.sleep(0.05)
        waiting = patient_client(space)
        short = [waiting.submit("x", max_new_tokens=1, api_name="/complete") for _ in range(20)]
        while sum(job.status().code.value == "IN_QUEUE" for job in short) < 20:
            time.sleep(0.05)
        yield
    finally:
        for job in long:
            job.cancel()
    assert [job.exception(timeout=120) for job in short] == [None] * 20


def patient_client(space):
    """Return a client that waits for a busy machine; gradio's own time limit for one answer is 5 s."""
    return Client(space.url, verbose=False, httpx_kwargs={"timeout": 120})


def test_a_full_queue_refuses_in_words(client, space):
    """While two long requests run and 20 more wait, the next eight are told that the queue is full."""
    with full_queue(space):
        late = [client.submit("x", max_new_tokens=1, api_name="/complete") for _ in range(8)]
        refusals = [str(job.exception(timeout=120)) for job in late]
    assert {"full" in refusal for refusal in refusals} == {True}


def test_the_server_logs_no_prompt_and_calls_no_one(client, space):
    """Good and bad requests add nothing to the lines about the start, and reach no other machine."""
    said = space.output
    client.predict("sesame_completed", max_new_tokens=2, api_name="/complete")
    with pytest.raises(Exception, match="marker"):
        client.predict("sesame_refused", api_name="/infill")
    assert space.output == said
    assert said.count("santa_demo: ready") == 1
    assert space.outside_hosts == []


def test_an_mcp_client_finds_and_calls_the_two_tools(space):
    """With HF_SANTA_MCP=1 the named endpoints are tools, described by their docstrings, for the official MCP client."""

    async def ask():
        address = space.url + "/gradio_api/mcp/"
        async with streamable_http_client(address) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            tools = {tool.name.rpartition("santa_demo_")[2]: tool for tool in (await session.list_tools()).tools}
            name = next(tool.name for short, tool in tools.items() if short.endswith("infill"))
            answer = await session.call_tool(name, {"prompt": "a = <FILL_HERE>;\n", "max_new_tokens": 4})
            return tools, answer

    tools, answer = asyncio.run(ask())
    assert {name.rpartition("_")[2] for name in tools} == {"complete", "infill"}
    assert "<FILL_HERE>" in next(tool.description for name, tool in tools.items() if name.endswith("infill"))
    assert not answer.isError
    assert "tokens" in answer.content[0].text


# Starting


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("/nowhere/santa", "neither an existing folder nor a Hub repo id"),
        ("someone/santa", "not a full commit sha"),
        ("", "not set"),
    ],
)
def test_a_missing_model_ends_with_one_line(tmp_path, model, words):
    """app.py without a usable model exits with 1 and one clear line."""
    ended = run_to_end(tmp_path, "--port", str(free_port()), HF_SANTA_MODEL=model)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert words in ended.stderr


def test_a_port_in_use_ends_with_one_line(tmp_path):
    """app.py on a port that another program holds exits with 1 and one clear line."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        ended = run_to_end(tmp_path, "--port", str(port), HF_SANTA_MODEL="unused")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert f"Port {port} on 127.0.0.1 cannot be used" in ended.stderr


# In the browser


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("the program chromium is not on PATH: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=program, args=CHROMIUM)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, space):
    """A function that opens the page; at the end no page may have logged an error or asked another machine."""
    faults, contexts = [], []

    def open_page(width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 850}, color_scheme=scheme)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)
        context.set_default_timeout(120_000)
        page = context.new_page()
        page.on(
            "console", lambda message: message.type == "error" and is_fault(message) and faults.append(message.text)
        )
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request",
            lambda request: request.url.startswith((space.url, "data:", "blob:")) or faults.append(request.url),
        )
        page.goto(space.url)
        page.wait_for_selector("#editor .cm-content")
        page.wait_for_function("document.querySelector('#status').innerText.includes('ready')")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def is_fault(message):
    """Whether a console error is one; Chromium itself logs the 503 with which a full queue refuses."""
    return "503" not in message.text


def write(page, text):
    page.locator("#editor .cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)


@pytest.mark.browser
def test_the_page_infills_and_marks_the_middle(visit):
    """What the visitor wrote and the marked middle are the whole result; typed HTML stays text."""
    page = visit()
    page.get_by_label("Infill", exact=True).check()
    page.get_by_text("Put <FILL_HERE> where code is missing").wait_for()
    write(page, "<img src=x onerror=alert(1)>${1+1}{{2}}\n<FILL-HERE>\n&amp;")
    page.keyboard.press("Control+Enter")
    page.locator("#status", has_text="length limit").wait_for()
    assert page.evaluate("[...document.querySelectorAll('#view span')].map((part) => part.textContent)") == [
        "<img src=x onerror=alert(1)>${1+1}{{2}}\n",
        "\n&amp;",
    ]
    assert len(page.locator("#view mark").inner_text()) > 0


@pytest.mark.browser
def test_stop_stops(visit, space):
    """Text appears while the model writes; Stop freezes it, and the server falls idle."""
    page = visit()
    page.get_by_text("Sampling").click()
    page.get_by_label("number input for Max new tokens").fill("512")
    page.get_by_label("number input for Temperature").fill("1")
    page.click("#run")
    page.locator("#status", has_text="writing").wait_for()
    first = page.locator("#view mark").text_content()
    page.wait_for_function(
        "(before) => document.querySelector('#view mark').textContent.length > before", arg=len(first)
    )
    page.click("#halt")
    page.locator("#status", has_text="stopped").wait_for()
    assert page.locator("#view .caret").count() == 0
    frozen = page.locator("#view mark").text_content()
    assert 0 < len(frozen) < 512
    deadline, busy = time.monotonic() + 30, 1.0
    while busy > 0.4 and time.monotonic() < deadline:
        before = space.cpu_seconds()
        time.sleep(1)
        busy = space.cpu_seconds() - before
    assert busy <= 0.4
    assert page.locator("#view mark").text_content() == frozen


@pytest.mark.browser
def test_an_error_shows_its_marker(visit):
    """The line for a missing marker spells the marker out, stays, and is announced to screen readers."""
    page = visit()
    page.get_by_label("Infill", exact=True).check()
    page.get_by_text("Put <FILL_HERE> where code is missing").wait_for()
    write(page, "x = 1")
    page.click("#run")
    page.locator("#status", has_text="no <FILL_HERE> marker").wait_for()
    page.locator("#heard", has_text="no <FILL_HERE> marker").wait_for(state="attached")
    assert page.locator("#heard").get_attribute("role") == "status"


@pytest.mark.browser
def test_buttons_that_cannot_act_are_off(visit):
    """Stop acts while the model writes, the others on a result; a refusal takes the old result away."""
    page = visit()
    results = [page.get_by_role("button", name=name) for name in ("Copy all", "Copy marked", "Use as input")]
    assert [False] * 4 == [button.is_enabled() for button in (page.locator("#halt"), *results)]
    page.click("#run")
    page.locator("#status", has_text="length limit").wait_for()
    page.wait_for_function("document.querySelector('#halt').disabled")
    page.locator("#run:enabled", has_text="Generate").wait_for()
    assert page.evaluate("CSS.highlights.get('code-keyword').size") > 0  # `def`, as in the editor
    assert [True] * 3 == [button.is_enabled() for button in results]
    page.get_by_label("Infill", exact=True).check()
    page.get_by_text("Put <FILL_HERE> where code is missing").wait_for()
    write(page, "x = 1")
    page.click("#run")
    page.locator("#status", has_text="no <FILL_HERE> marker").wait_for()
    page.locator("#view .blank").wait_for()
    page.wait_for_function("[...document.querySelectorAll('#copy-row button')].every((button) => button.disabled)")


@pytest.mark.browser
def test_on_a_phone_the_result_comes_into_view(visit):
    """After Generate, Stop, the status and the result are on one screen; long lines wrap in place of being cut."""
    page = visit()
    page.set_viewport_size({"width": 390, "height": 844})
    write(page, "x = '" + "long " * 60 + "'\n")
    page.locator("#run").click()
    page.locator("#status", has_text="length limit").wait_for()
    on_screen = """(ids) => ids.every((id) => {
      const {top, bottom} = document.getElementById(id).getBoundingClientRect();
      return 0 <= top && bottom <= innerHeight;
    })"""
    page.wait_for_function(on_screen, arg=["halt", "status", "view", "copy-row"])
    assert page.evaluate("(([p]) => p.scrollWidth <= p.clientWidth)(document.querySelectorAll('#view pre'))")


@pytest.mark.browser
def test_a_full_queue_is_told_on_the_page(visit, space):
    """A visitor who finds the queue full reads so in words, in the page and not in a toast."""
    page = visit()
    with full_queue(space):
        page.click("#run")
        page.locator("#status", has_text="The queue is full").wait_for()
    assert page.get_by_test_id("toast-text").count() == 0
    page.wait_for_function("document.querySelector('#halt').disabled && !document.querySelector('#run').disabled")
    page.locator("#view .blank").wait_for()


@pytest.mark.browser
def test_what_is_copied_is_exact(visit):
    """The clipboard gets the white space that the visitor typed, and the generated text to its last character."""
    page = visit()
    write(page, "  \tx = 1  \n\n")
    page.click("#run")
    page.locator("#status", has_text="length limit").wait_for()
    middle = page.locator("#view mark").text_content()
    for button, expected in (("Copy all", "  \tx = 1  \n\n" + middle), ("Copy marked", middle)):
        page.get_by_role("button", name=button).click()
        page.wait_for_function("async (text) => await navigator.clipboard.readText() === text", arg=expected)


@pytest.mark.browser
def test_the_keyboard_is_enough(visit):
    """Tab reaches the editor, Esc and Tab leave it, Enter on Generate runs, and every stop on the way has a name."""
    page = visit()
    names = []
    focused = (
        "[document.activeElement.id, document.activeElement.className, document.activeElement.textContent].join(' ')"
    )
    for _ in range(12):
        page.keyboard.press("Tab")
        names.append(page.evaluate(focused))
        if "cm-content" in names[-1]:
            page.keyboard.press("Escape")
        if names[-1].startswith("run "):
            break
    assert names[-1].startswith("run "), names
    assert any("cm-content" in name for name in names)
    page.keyboard.press("Enter")
    page.locator("#status", has_text="length limit").wait_for()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_axe_finds_no_serious_fault(visit, width, scheme):
    """axe-core finds nothing serious: empty, with settings open, with a result, and with an error."""
    page = visit(width, scheme)
    page.get_by_text("Sampling").click()
    found = [serious(page)]
    page.click("#run")
    page.locator("#seen", has_text="no copy of 50 characters").wait_for()
    page.locator("#run:enabled").wait_for()
    found.append(serious(page))
    write(page, "x = <FILL_HERE>")
    page.click("#run")
    page.locator("#status", has_text="Not run").wait_for()
    page.locator("#run:enabled").wait_for()
    found.append(serious(page))
    assert found == [[], [], []]


def serious(page):
    faults = Axe().run(page).response["violations"]
    return [(fault["id"], fault["nodes"][0]["html"]) for fault in faults if fault["impact"] in {"serious", "critical"}]


@pytest.mark.browser
def test_a_language_brings_its_examples(visit):
    """Choosing a language replaces an untouched example, and leaves the visitor's own text alone."""
    page = visit()
    page.get_by_label("Java", exact=True).check()
    page.locator("#editor", has_text="isPrime").wait_for()
    page.get_by_role("button", name="Point").click()
    page.locator("#editor", has_text="class Point").wait_for()
    write(page, "my_own_text")
    page.get_by_label("JavaScript").check()
    page.get_by_role("button", name="Debounce").wait_for()
    assert "my_own_text" in page.locator("#editor").inner_text()


@pytest.mark.browser
def test_a_phone_needs_no_sideways_scroll(visit):
    """At 390 px the page is no wider than the screen, before and after a long line was generated."""
    page = visit(width=390)
    write(page, "x = " + "1" * 300)
    page.click("#run")
    page.locator("#status", has_text="length limit").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
