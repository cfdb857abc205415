"""The Space against bare generate(): first text, tokens a second, Stop, many users, memory; and the index of training text.

`tests/bench/space.py [MODEL]` takes a folder, or a random model of 12 narrow layers. Needs the program chromium.
"""

import json
import random
import shutil
import statistics
import sys
import sysconfig
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
from gradio_client import Client
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))
from e2e.space_driver import CHROMIUM, running_space, save_tiny_model, space_modules, write_index

ROUNDS, TOKENS = 7, 120


class FirstToken:
    """A streamer that only remembers when the first new token came."""

    def __init__(self):
        self.calls, self.at = 0, 0.0

    def put(self, _):
        """Take a token, or the prompt."""
        self.calls += 1
        if self.calls == 2:  # the prompt comes first
            self.at = time.perf_counter()

    def end(self):
        """Nothing to close."""


def bare(loaded):
    """Seconds to the first token, and tokens a second, of generate() alone on the same packed model."""
    ids = loaded.tokenizer("def f(x):\n", return_tensors="pt")["input_ids"]
    streamer, started = FirstToken(), time.perf_counter()
    written = loaded.model.generate(
        ids, attention_mask=ids.new_ones(ids.shape), max_new_tokens=TOKENS, do_sample=False, streamer=streamer
    )
    return streamer.at - started, (written.shape[1] - ids.shape[1]) / (time.perf_counter() - started)


def in_a_thread(measure, *arguments):
    """Measure in a new thread, as the Space generates: in the main one, torch's pool may be many times slower."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(measure, *arguments).result()


def through_the_space(url):
    """The same over HTTP, and tokens a second as the Space shows them; gradio_client polls, and adds 60 ms and more."""
    body = json.dumps({"data": ["def f(x):\n", TOKENS, 0, 0.95, 0]}).encode()
    call, first, started = f"{url}/gradio_api/call/complete", None, time.perf_counter()
    with urlopen(Request(call, body, {"Content-Type": "application/json"})) as posted:
        event = json.load(posted)["event_id"]
    with urlopen(f"{call}/{event}") as lines:
        for line in lines:
            if line.startswith(b"data: ["):
                first, answer = first or time.perf_counter() - started, json.loads(line[6:])[0]
    return first, answer["tokens"] / (time.perf_counter() - started), answer["tokens_per_second"]


def overhead(loaded, url):
    pairs = [(in_a_thread(bare, loaded), through_the_space(url)) for _ in range(ROUNDS + 1)][1:]
    medians = [statistics.median(column) for column in zip(*((*a, *b) for a, b in pairs), strict=True)]
    bare_first, bare_rate, first, rate, shown = medians
    print(
        f"first text: bare {bare_first * 1e3:.0f} ms, Space {first * 1e3:.0f} ms: {(first - bare_first) * 1e3:.0f} ms over"
    )
    print(f"tokens/s, {TOKENS} tokens: bare {bare_rate:.0f}, shown on the page {shown:.0f} ({shown / bare_rate:.2f}), "
          f"client from sending to end {rate:.0f} ({rate / bare_rate:.2f})")  # fmt: skip


def many(url, users):
    """So many users at once: how many were served, and when the last was served or refused."""
    clients = [Client(url, verbose=False) for _ in range(users)]
    barrier = threading.Barrier(users)

    def ask(client):
        barrier.wait()
        started = time.perf_counter()
        try:
            client.predict("x = ", max_new_tokens=TOKENS, temperature=0, api_name="/complete")
        except Exception as error:  # noqa: BLE001  # the refusal is what is measured
            return time.perf_counter() - started, str(error)
        return time.perf_counter() - started, None

    with ThreadPoolExecutor(users) as pool:
        ended = list(pool.map(ask, clients))
    served = [seconds for seconds, refusal in ended if refusal is None]
    refused = [seconds for seconds, refusal in ended if refusal]
    words = {refusal for _, refusal in ended if refusal}
    print(f"{users} at once: {len(served)} served, the last after {max(served):.2f} s; {len(refused)} refused"
          + (f", the last after {max(refused):.2f} s: {words}" if refused else ""))  # fmt: skip


def memory(space, client, requests=500):
    def resident():
        pages = int(Path(f"/proc/{space.process.pid}/statm").read_text().split()[1])
        return pages * 4096 / 1e6

    def ask(count):
        for number in range(count):
            client.predict(f"x{number} = ", max_new_tokens=8, temperature=1, seed=number, api_name="/complete")

    ask(50)
    before = resident()
    ask(requests)
    print(f"memory: {before:.0f} MB after 50 requests, {resident() - before:+.0f} MB after {requests} more")


def browse(space):
    faults, ready, stopped = [], [], []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        for _ in range(5):
            page = browser.new_context().new_page()
            page.on("console", lambda message: message.type == "error" and faults.append(message.text))
            page.on("request", lambda r: r.url.startswith((space.url, "data:", "blob:")) or faults.append(r.url))
            started = time.perf_counter()
            page.goto(space.url)
            page.wait_for_selector("#editor .cm-content")
            page.wait_for_function("document.querySelector('#status').innerText.includes('ready')")
            ready.append(time.perf_counter() - started)
            page.get_by_text("Sampling").click()
            box = page.get_by_label("number input for Max new tokens")
            box.fill(box.get_attribute("max"))
            page.click("#run")
            page.locator("#status", has_text="writing").wait_for()
            started = time.perf_counter()
            page.click("#halt")
            page.locator("#status", has_text="stopped").wait_for()
            stopped.append(time.perf_counter() - started)
            time.sleep(0.3)
            busy = space.cpu_seconds()
            time.sleep(0.5)
            busy = space.cpu_seconds() - busy
            page.context.close()
    print(f"page usable: {statistics.median(ready):.2f} s (longest {max(ready):.2f}), Stop: {statistics.median(stopped):.2f} s "
          f"(longest {max(stopped):.2f}), then {busy / 0.5:.0%} of a core; console errors and outside requests: {len(faults)}")  # fmt: skip


def index(demo, folder):
    """Copies found, and strangers taken for copies, on the standard library's own sources."""
    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    texts = [source.read_text("utf-8", "replace") for source in sources]
    path = write_index(folder / "index", *texts)
    opened, draw = demo.seen.SeenIndex(path), random.Random(0)
    flat = [" ".join(text.split()) for text in texts if len(text) > 10_000]
    found = {}
    for length in (50, 55, 60, 100):
        copies = [text[(at := draw.randrange(len(text) - length)) : at + length] for text in draw.choices(flat, k=2000)]
        whole = [copy for copy in copies if copy == copy.strip()]  # a blank at an end would not count
        found[length] = round(statistics.mean(bool(opened.look_up(copy).spans) for copy in whole), 4)
    print(
        f"index: {path.stat().st_size / 1e6:.1f} MB, stride {opened.about['stride']}; share of copies found, by length: {found}"
    )
    strangers, false, everything = 0, 0, "\n".join(" ".join(text.split()) for text in texts)
    for text in flat:
        words = text.split()
        draw.shuffle(words)
        mixed = " ".join(words)
        held = opened._holds(demo.seen.passage_hashes(mixed))
        strangers += len(held) - np.count_nonzero(held)
        wrong = sum(mixed[at : at + 50] not in everything for at in np.flatnonzero(held).tolist())
        strangers, false = strangers + wrong, false + wrong
    bound = opened.about["passages"] / 2**48
    started = time.perf_counter()
    opened.look_up(flat[0][:1500])
    print(f"index: {false} of {strangers:,} passages that are in no file taken for copies (expected {bound * strangers:.1g}); "
          f"1,500 characters looked up in {(time.perf_counter() - started) * 1e3:.1f} ms")  # fmt: skip


def main():
    with tempfile.TemporaryDirectory() as scratch, space_modules() as demo:
        folder = Path(scratch)
        model = Path(sys.argv[1]) if len(sys.argv) > 1 else save_tiny_model(folder / "m", n_layer=12, n_positions=1024)
        loaded = demo.loading.load(demo.settings.Source(str(model)))
        print(f"{model.name}: {loaded.model.num_parameters():,} parameters, {ROUNDS} interleaved rounds")
        with running_space(model, folder / "space") as space:
            client = Client(space.url, verbose=False)
            overhead(loaded, space.url)
            many(space.url, 8)
            many(space.url, 30)
            memory(space, client)
        slow = save_tiny_model(folder / "slow", n_layer=64, n_positions=1024)  # slow enough to be stopped
        with running_space(slow, folder / "slow_space") as space:
            browse(space)
        index(demo, folder)


if __name__ == "__main__":
    main()
