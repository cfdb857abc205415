"""The static Space: how it is staged, and its page in a browser, with an engine that answers at once."""

import functools
import http.server
import json
import re
import shutil
import threading

import pytest
from axe_playwright_python.sync_playwright import Axe

from hf_santa.repositories.kinds import KINDS
from hf_santa.repositories.lint import lint
from hf_santa.repositories.static_space import check_static_space, write_engine
from hf_santa.repositories.write import StageError, space_source

from .space_driver import space_modules, write_index

SOURCE = "def shipped(order, when):\n\treturn [line for line in order.lines if line.sent\u00a0<= when and line.count > 0]  # \u2603 \U0001f385\n"
EXAMPLES = [
    {"language": "Python", "label": "Add", "text": "def add(a, b):"},
    {"language": "Python", "label": "Mean", "text": "def mean(v):\n    <FILL_HERE>\n"},
    {"language": "Java", "label": "Max", "text": "static int max(int a, int b) {"},
]
ENGINE = """
export class Wllama {
  async loadModel(files) { window.loaded = files[0].size; }
  async createCompletion({prompt, max_tokens}) {
    window.asked = prompt;
    return (async function* () {
      for (let at = 0; at < max_tokens; at++) {
        await new Promise(done => setTimeout(done, 20));
        yield {choices: [{text: at ? "<b>\\u{1f385}" : "a", finish_reason: null}]};
      }
      yield {choices: [{text: "\\ufffd", finish_reason: "length"}]};
    })();
  }
}
"""


@pytest.fixture
def staged(tmp_path):
    """The page's files with the stand-in for the engine, as `stage_static_space` lays them out."""
    shutil.copytree(space_source().parent / "santa_static", tmp_path / "space")
    shutil.copyfile(space_source() / "colours.js", tmp_path / "space" / "colours.js")
    write_index(tmp_path / "space" / "training.index", SOURCE)
    (tmp_path / "space" / "wllama.js").write_text(ENGINE)
    (tmp_path / "space" / "wllama.wasm").write_bytes(b"")
    (tmp_path / "space" / "model.gguf").write_bytes(b"x" * 100)
    about = {"name": "tiny", "parameters": 1_094_208, "context": 64, "type": "q8_0", "megabytes": 1.4, "licence": "mit"}
    (tmp_path / "space" / "page.json").write_text(json.dumps({**about, "index": True, "examples": EXAMPLES}))
    return tmp_path / "space"


@pytest.fixture
def page(staged):
    """A phone's browser on the page; whatever is asked of another machine, or logged as an error, fails the test."""
    from playwright.sync_api import sync_playwright

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Keep standard error for pytest."""

    faults = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=staged)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            opened = browser.new_page(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
            opened.on("request", lambda request: request.url.startswith(address) or faults.append(request.url))
            opened.on("console", lambda message: message.type == "error" and faults.append(message.text))
            opened.on("pageerror", lambda error: faults.append(str(error)))
            opened.goto(f"{address}/index.html")
            opened.locator("#status", has_text="ready").wait_for()
            yield opened
            browser.close()
        server.shutdown()
    assert [] == faults


@pytest.mark.browser
def test_the_page_infills_stops_and_refuses(page):
    """The middle is marked and stays text, a cut character is left out, Stop stops, a refusal clears; no sideways scroll."""
    assert "tiny · 1.4 MB, q8_0 · 64 tokens of context · llama.cpp in this browser" == page.inner_text("#facts")
    assert "A code model of 1.09 million parameters that runs" in page.inner_text("header")
    page.get_by_text("Sampling").click()
    page.fill("#length", "3")
    page.fill("#code", "a <FILL_HERE> b")
    page.click("#run")
    page.locator("#status", has_text="length limit").wait_for()
    assert "a<b>\U0001f385<b>\U0001f385" == page.locator("#view mark").text_content()
    assert "a a<b>\U0001f385<b>\U0001f385 b" == page.locator("#view").text_content()
    assert "<fim-prefix>a <fim-suffix> b<fim-middle>" == page.evaluate("window.asked")
    on_screen = "id => (({top, bottom}) => top >= 0 && bottom <= innerHeight)(document.getElementById(id).getBoundingClientRect())"
    assert [True] * 5 == [page.evaluate(on_screen, each) for each in ("halt", "status", "view", "seen", "reuse")]
    page.fill("#length", "32")
    page.click("#run")
    page.locator("#status", has_text=re.compile("writing")).wait_for()
    page.click("#halt")
    page.locator("#status", has_text="stopped").wait_for()
    for text, words in (
        ("<fim-middle>", "a sign of the model's own"),
        ("<FILL_HERE><FILL-HERE>", "2 gaps"),
        (" ", "empty"),
    ):
        page.fill("#code", text)
        page.click("#run")
        page.locator("#status.refusal", has_text=words).wait_for()
        assert page.locator("#view.blank").count()
        assert page.locator("#copy").is_disabled()
    page.fill("#code", "x")
    page.fill("#temperature", "3")
    page.click("#run")
    page.locator("#status.refusal", has_text="Temperature (0 is greedy) is 3. Give 0 to 2.").wait_for()
    assert 390 == page.evaluate("document.documentElement.scrollWidth")


@pytest.mark.browser
def test_a_long_file_is_cut_around_the_gap(page):
    """At most two characters a token of the room are sent, three quarters of them from before the gap."""
    page.get_by_text("Sampling").click()
    page.fill("#length", "16")
    page.fill("#code", "x" * 500 + "<FILL_HERE>" + "y" * 500)
    page.click("#run")
    page.locator("#status", has_text="length limit").wait_for()
    room = (64 - 16 - 8) * 2
    prompt = page.evaluate("window.asked")
    assert (room * 3 // 4, room // 4) == (
        prompt.count("x") - prompt.count("prefix") - prompt.count("suffix"),
        prompt.count("y"),
    )


@pytest.mark.browser
def test_an_example_is_of_the_chosen_language(page):
    """A language brings its examples into an untouched editor, and leaves the visitor's own text alone."""
    assert "def mean(v):\n    <FILL_HERE>\n" == page.input_value("#code")
    page.get_by_label("Java", exact=True).check()
    assert "static int max(int a, int b) {" == page.input_value("#code")
    page.fill("#code", "my_own")
    page.get_by_label("Python").check()
    assert "my_own" == page.input_value("#code")
    page.get_by_role("button", name="Add").click()
    assert "def add(a, b):" == page.input_value("#code")


@pytest.mark.browser
def test_the_page_knows_the_passages_that_the_other_space_knows(page, staged):
    """The index gives in the browser what NumPy reads of it: white space of any kind, signs of four bytes, and no near miss."""
    texts = [
        SOURCE,
        "x" + SOURCE.replace("\n", "\r\n  "),
        SOURCE.replace("sent", "came"),
        SOURCE[:49],
        f"\U0001f385 {SOURCE} {SOURCE[3:70]}",
    ]
    with space_modules() as modules:
        index = modules.seen.SeenIndex(staged / "training.index")
        expected = [[text[start:end] for start, end in index.look_up(text).spans] for text in texts]
    assert [1, 1, 1, 0] == [len(found) for found in expected[:4]]
    ask = """async texts => {
        const {openIndex} = await import("./seen.js");
        const index = openIndex(await (await fetch("training.index")).arrayBuffer());
        return texts.map(text => index.lookUp(text).passages);
    }"""
    assert expected == page.evaluate(ask, texts)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault_and_code_is_coloured(page, scheme):
    """Empty, with a result and after a refusal, in both themes; a keyword, a string and a comment have their colours."""
    page.emulate_media(color_scheme=scheme)
    found = [*_serious(page)]
    page.fill("#code", 'return "a"  # b\n1 + ')
    page.click("#run")
    page.locator("#status", has_text="length limit").wait_for()
    painted = "['keyword', 'string', 'comment', 'number'].map(kind => [...CSS.highlights.get(`code-${kind}`)].map(String).length)"
    assert [1, 1, 1, 1] == page.evaluate(painted)
    found += _serious(page)
    page.fill("#code", "")
    page.click("#run")
    page.locator("#status.refusal").wait_for()
    assert [] == [*found, *_serious(page)]


def _serious(page):
    faults = Axe().run(page).response["violations"]
    return [(fault["id"], fault["nodes"][0]["html"]) for fault in faults if fault["impact"] in {"serious", "critical"}]


def test_the_colours_have_contrast():
    """Each colour of code can be read on the panel and on the mark of its theme, in both Spaces: 4.5:1."""
    for name, panels in (
        ("santa_demo", {"": "#ffffff", ".dark ": "#292524"}),
        ("santa_static", {"": "#ffffff", ".dark ": "#292524"}),
    ):
        css = (space_source().parent / name / "style.css").read_text()
        colours = re.findall(r"^(\.dark )?#view ::highlight\(code-\w+\) \{ color: (#\w{6});", css, re.MULTILINE)
        assert 8 == len(colours)
        for theme, colour in colours:
            for ground in (panels[theme], "#0d4a2e" if theme else "#c9f2d9"):
                assert _contrast(colour, ground) >= 4.5, (name, theme, colour, ground)


def _contrast(first, second):
    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_what_is_not_whole_or_not_pinned_is_refused(staged, tmp_path):
    """An archive with another digest is not unpacked; a page without its parts, or with a damaged model, is no Space."""
    assert [] == list(lint(staged, KINDS["space"]))
    (tmp_path / "engine.tgz").write_bytes(b"something else")
    with pytest.raises(StageError, match="another SHA-512 than the pinned release"):
        write_engine(tmp_path / "engine.tgz", tmp_path)
    with pytest.raises(StageError, match="does not open"):
        check_static_space(staged)
    (staged / "page.js").unlink()
    with pytest.raises(StageError, match=r"lacks page.js"):
        check_static_space(staged)
