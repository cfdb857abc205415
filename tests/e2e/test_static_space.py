"""The static Space: how it is staged, and its page in a browser, with an engine that answers at once."""

import functools
import http.server
import re
import shutil
import threading

import pytest

from hf_santa.repositories.kinds import KINDS
from hf_santa.repositories.lint import lint
from hf_santa.repositories.static_space import check_static_space, write_engine
from hf_santa.repositories.write import StageError, space_source

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
    (tmp_path / "space" / "wllama.js").write_text(ENGINE)
    (tmp_path / "space" / "wllama.wasm").write_bytes(b"")
    (tmp_path / "space" / "model.gguf").write_bytes(b"x" * 100)
    (tmp_path / "space" / "page.json").write_text('{"name": "tiny", "context": 64, "type": "q8_0", "megabytes": 1.4}')
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
            opened = browser.new_page(viewport={"width": 390, "height": 844})
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
    assert "tiny · 1.4 MB, q8_0 · 64 tokens of context" == page.inner_text("#facts")
    page.fill("#length", "3")
    page.fill("#code", "a <FILL_HERE> b")
    page.click("#run")
    page.locator("#status", has_text="length limit").wait_for()
    assert "a<b>\U0001f385<b>\U0001f385" == page.locator("#view mark").text_content()
    assert "a a<b>\U0001f385<b>\U0001f385 b" == page.locator("#view").text_content()
    assert "<fim-prefix>a <fim-suffix> b<fim-middle>" == page.evaluate("window.asked")
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
        assert ("", True) == (page.locator("#view").text_content(), page.locator("#copy").is_disabled())
    assert 390 == page.evaluate("document.documentElement.scrollWidth")


@pytest.mark.browser
def test_a_long_file_is_cut_around_the_gap(page):
    """At most two characters a token of the room are sent, three quarters of them from before the gap."""
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
