"""The page and the named API: what visitors see, and what programs call."""

import html
from collections.abc import Iterator
from typing import Any

import gradio as gr
from examples import COMPLETE, EDITOR_LANGUAGE, EXAMPLES, INFILL, MODES, is_untouched
from generation import Chunk, stream
from loading import LoadedModel
from prompt import MARKERS, MAX_SEED, MAX_TEMPERATURE, Prompt, RequestError, Settings, completion_prompt, find_markers
from prompt import infill_prompt as prompt_with_gap

QUEUE_SIZE = 20
DEFAULTS = Settings()
FINISHED = {
    "end": "done",
    "length": "length limit reached, the text may be cut: raise Max new tokens",
    "time": "time limit reached, the text may be cut",
}

COPY_JS = """async (text) => {
  try { await navigator.clipboard.writeText(text); }
  catch (error) {
    const area = Object.assign(document.createElement("textarea"), {value: text});
    document.body.append(area); area.select(); document.execCommand("copy"); area.remove();
  }
}"""
CARET = '<i class="caret"></i>'
STOPPED_JS = f"""(view, status) => [view.replace('{CARET}', ''), status.replace('<b>writing</b>', '<b>stopped</b>')]"""
SHORTCUT_JS = """() => {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault(); event.stopPropagation();
      document.querySelector("#run").click();
    }
  }, true);
}"""


def build_page(loaded: LoadedModel, concurrency: int = 1) -> gr.Blocks:
    """Return the page with its API; `concurrency` requests run at once and QUEUE_SIZE more may wait."""
    page = gr.Blocks(title="SantaCoder demo", analytics_enabled=False)
    with page:
        gr.HTML(_header(loaded), elem_id="top", js_on_load=None)
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320):
                inputs = _editor_column(loaded)
            with gr.Column(min_width=320):
                outputs = _result_column()
        gr.HTML(_small_print(loaded), elem_id="small-print", js_on_load=None)
        _connect(page, loaded, inputs, outputs, concurrency)
        _offer_api(loaded, concurrency)
    return page.queue(max_size=QUEUE_SIZE)


def _editor_column(loaded: LoadedModel) -> dict[str, Any]:
    first = EXAMPLES[COMPLETE, "Python"]
    with gr.Row():
        mode = gr.Radio(MODES, value=COMPLETE, label="Mode", min_width=150, scale=2)
        language = gr.Radio(list(EDITOR_LANGUAGE), value="Python", label="Language", min_width=220, scale=3)
    hint = gr.Markdown(_hint(COMPLETE), elem_id="hint")
    editor = gr.Code(
        first[0].text,
        language="python",
        label="Your code",
        lines=10,
        max_lines=22,
        interactive=True,
        buttons=[],
        elem_id="editor",
    )
    with gr.Row():
        run = gr.Button("Generate", variant="primary", elem_id="run", min_width=140)
        halt = gr.Button("Stop", variant="stop", elem_id="halt", min_width=90, scale=0)
    examples = gr.Dataset(
        label="Examples",
        components=["textbox"],
        samples=[[example.text] for example in first],
        sample_labels=[example.label for example in first],
        type="index",
        elem_id="examples",
    )
    settings = _sampling_controls(loaded.max_new_tokens)
    return {
        "mode": mode, "language": language, "hint": hint, "editor": editor, "examples": examples, "run": run,
        "halt": halt, "settings": settings,
    }  # fmt: skip


def _sampling_controls(limit: int) -> list[Any]:
    """Lay out the four settings in the order of Settings' fields."""
    with gr.Accordion("Sampling", open=False):
        length = gr.Slider(1, limit, min(DEFAULTS.max_new_tokens, limit), step=1, label="Max new tokens")
        temperature = gr.Slider(0, MAX_TEMPERATURE, DEFAULTS.temperature, step=0.05, label="Temperature (0 is greedy)")
        top_p = gr.Slider(0.05, 1, DEFAULTS.top_p, step=0.01, label="Top-p")
        with gr.Row(equal_height=True):
            seed = gr.Number(
                DEFAULTS.seed,
                precision=0,
                minimum=0,
                maximum=MAX_SEED,
                label="Seed (same seed, same text)",
                min_width=160,
            )
            another = gr.Button("Draw another seed", size="sm", min_width=120, elem_id="another-seed")
    another.click(fn=None, outputs=seed, js=f"() => Math.floor(Math.random() * {MAX_SEED})")
    return [length, temperature, top_p, seed]


def _result_column() -> dict[str, Any]:
    view = gr.HTML(_view(Prompt(""), None), elem_id="view", js_on_load=None)
    status = gr.HTML(_status("ready"), elem_id="status", js_on_load=None)
    # Exact carriers for copying: HTML and gr.Code would lose carriage returns and outer white space.
    whole = gr.Textbox(visible="hidden", label="Whole text", elem_id="whole")
    middle = gr.Textbox(visible="hidden", label="Generated text", elem_id="middle")
    with gr.Row(elem_id="copy-row"):
        copy_whole = gr.Button("Copy all", size="sm", min_width=80)
        copy_middle = gr.Button("Copy marked", size="sm", min_width=80)
        reuse = gr.Button("Use as input", size="sm", min_width=80)
    copy_whole.click(fn=None, inputs=whole, js=COPY_JS)
    copy_middle.click(fn=None, inputs=middle, js=COPY_JS)
    return {"view": view, "status": status, "whole": whole, "middle": middle, "reuse": reuse}


def _connect(
    page: gr.Blocks, loaded: LoadedModel, inputs: dict[str, Any], outputs: dict[str, Any], concurrency: int
) -> None:
    editor, mode, language = inputs["editor"], inputs["mode"], inputs["language"]

    def generate(chosen: str, text: str, *numbers: float) -> Iterator[tuple[str, str, str, str]]:
        try:
            prompt = _read(chosen, text or "")
            for chunk in stream(prompt, Settings(*numbers), loaded):  # type: ignore[arg-type]  # stream() checks them
                yield _view(prompt, chunk), _progress(chunk), prompt.with_middle(chunk.middle), chunk.middle
        except RequestError as error:
            # Toasts render HTML: an unescaped marker would vanish as an unknown tag.
            raise gr.Error(html.escape(str(error)), print_exception=False) from error

    run = inputs["run"].click(
        generate,
        inputs=[mode, editor, *inputs["settings"]],
        outputs=[outputs["view"], outputs["status"], outputs["whole"], outputs["middle"]],
        concurrency_limit=concurrency,
        concurrency_id="model",
        api_visibility="private",
        show_progress_on=outputs["status"],
        show_progress="minimal",
    )
    inputs["halt"].click(fn=None, cancels=[run])
    # Runs after an end of any kind; only a cancelled request leaves its last state unfinished.
    shown = [outputs["view"], outputs["status"]]
    run.then(fn=None, inputs=shown, outputs=shown, js=STOPPED_JS)
    for choice in (mode, language):
        choice.change(
            _switch,
            inputs=[mode, language, editor],
            outputs=[editor, inputs["examples"], inputs["hint"]],
            queue=False,
            api_visibility="private",
            show_progress="hidden",
        )
    inputs["examples"].click(
        _example_text, inputs=[inputs["examples"], mode, language], outputs=editor, queue=False, api_visibility="private",
        show_progress="hidden",
    )  # fmt: skip
    # In the browser: a value that passes through the server would lose its outer white space in gr.Code.
    outputs["reuse"].click(fn=None, inputs=[outputs["whole"]], outputs=editor, js="(text) => text")
    page.load(fn=None, js=SHORTCUT_JS)


def _read(mode: str, text: str) -> Prompt:
    if mode == INFILL:
        return prompt_with_gap(text)
    if find_markers(text):
        raise RequestError(f"The text holds a gap marker ({MARKERS[0]}). Choose {INFILL} to fill it, or remove it.")
    return completion_prompt(text)


def _switch(mode: str, language: str, text: str) -> tuple[Any, Any, str]:
    examples = EXAMPLES[mode, language]
    code = {"language": EDITOR_LANGUAGE[language]}
    if is_untouched(text or ""):
        code["value"] = examples[0].text
    samples = gr.Dataset(samples=[[e.text] for e in examples], sample_labels=[e.label for e in examples])
    return gr.Code(**code), samples, _hint(mode)


def _example_text(index: int, mode: str, language: str) -> str:
    return EXAMPLES[mode, language][index].text


def _hint(mode: str) -> str:
    if mode == COMPLETE:
        return "Write the start; the model goes on from its last character. **Ctrl + Enter** runs."
    return f"Put `{MARKERS[0]}` where code is missing; the model reads both sides. **Ctrl + Enter** runs."


def _view(prompt: Prompt, chunk: Chunk | None) -> str:
    """Return the result as HTML: what the visitor wrote, and the generated part marked."""
    if chunk is None:
        return '<div class="result"><p class="blank">The result appears here, with the generated part marked.</p></div>'
    before, middle, after = (html.escape(part) for part in (prompt.prefix, chunk.middle, prompt.suffix or ""))
    caret = "" if chunk.finish else CARET
    # The leading span keeps a first line break, which a parser drops right after <pre>.
    return (
        '<div class="result"><pre tabindex="0" aria-label="Result">'
        f"<span>{before}</span><mark>{middle}</mark>{caret}<span>{after}</span></pre></div>"
    )


def _progress(chunk: Chunk) -> str:
    words = [FINISHED[chunk.finish] if chunk.finish else "writing"]
    if chunk.finish == "end" and not chunk.middle:
        words = ["done: the model ended at once and wrote nothing, try another seed or a higher temperature"]
    words += [f"{chunk.tokens} tokens", f"{chunk.seconds:.1f} s", f"{chunk.tokens_per_second:.1f} tokens/s"]
    if chunk.seen_tokens < chunk.prompt_tokens:
        words.append(
            f"the model saw {chunk.seen_tokens:,} of {chunk.prompt_tokens:,} prompt tokens, those next to the gap"
        )
    return _status(*words)


def _status(*words: str) -> str:
    first, *others = (html.escape(word) for word in words)
    return f'<p class="status"><b>{first}</b>{"".join(f" · {word}" for word in others)}</p>'


def _header(loaded: LoadedModel) -> str:
    facts = [
        f"<b>{html.escape(loaded.source.name)}</b>",
        f"{_in_words(loaded.model.num_parameters())} parameters",
        f"{loaded.n_positions:,} tokens of context",
        f"{loaded.model.device.type} {str(loaded.model.dtype).removeprefix('torch.')}",
        f'<span title="{html.escape(loaded.fingerprint)}">{html.escape(_short(loaded.fingerprint))}</span>',
    ]
    return f"<h1>SantaCoder</h1><p>Code completion and infilling for Python, Java and JavaScript.</p><p class='facts'>{' · '.join(facts)}</p>"


def _short(fingerprint: str) -> str:
    kind, _, digits = fingerprint.rpartition(" ")
    return f"{kind} {digits[:12]}"


def _in_words(count: int) -> str:
    for size, unit in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


def _small_print(loaded: LoadedModel) -> str:
    licence = f"<code>{html.escape(loaded.licence)}</code>" if loaded.licence else "not stated by the model"
    source = loaded.source
    url = html.escape(f"https://huggingface.co/{source.path}/blob/{source.revision or 'main'}/README.md")
    card = "<code>README.md</code> of the model folder"
    if not source.is_local:
        card = f'<a href="{url}" rel="noopener noreferrer">{html.escape(source.path)}</a>'
    return f"""<section><h2>What to expect</h2><p>This is a small model that continues text. It was not trained to follow
instructions or to answer questions: give it code, not requests. It often writes code that looks right and is wrong,
invents names of functions, repeats itself, and knows no project but the lines it is shown. Nothing it writes is
executed here. Read and test everything before use.</p></section>
<section><h2>Whose code</h2><p>The output can repeat code from the training data word for word; that code keeps its own
licence and may require attribution. Model licence: {licence}. Model card: {card}.</p></section>
<section><h2>Privacy</h2><p>This page stores and logs nothing of what you type, and loads nothing from other
sites.</p></section>"""


def _answer(prompt: Prompt, chunk: Chunk, settings: Settings, loaded: LoadedModel) -> dict[str, Any]:
    return {
        "text": prompt.with_middle(chunk.middle),
        "generated": chunk.middle,
        "finish_reason": chunk.finish,
        "tokens": chunk.tokens,
        "prompt_tokens": chunk.prompt_tokens,
        "prompt_tokens_seen": chunk.seen_tokens,
        "seconds": round(chunk.seconds, 3),
        "tokens_per_second": round(chunk.tokens_per_second, 2),
        "seed": settings.seed,
        "model": loaded.source.name,
        "fingerprint": loaded.fingerprint,
    }


def _offer_api(loaded: LoadedModel, concurrency: int) -> None:
    def answers(make_prompt: Any, text: str, settings: Settings) -> Iterator[dict[str, Any]]:
        try:
            prompt = make_prompt(text)
            for chunk in stream(prompt, settings, loaded):
                yield _answer(prompt, chunk, settings, loaded)
        except RequestError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def complete(
        prompt: str, max_new_tokens: int = 64, temperature: float = 0.2, top_p: float = 0.95, seed: int = 0
    ) -> Iterator[dict[str, Any]]:
        """Continues code from its last character; streams the growing answer.

        Args:
            prompt: The code to continue, at most 100,000 characters. White space counts.
            max_new_tokens: How many tokens to write at most.
            temperature: 0 is greedy; higher is more varied, up to 2.
            top_p: Only the most likely tokens that together have this probability are drawn.
            seed: The same seed and settings give the same text.

        Returns:
            An object with text (all of it), generated, finish_reason (end, length, time; null until then) and figures.
        """
        yield from answers(completion_prompt, prompt, Settings(max_new_tokens, temperature, top_p, seed))

    def infill(
        prompt: str, max_new_tokens: int = 64, temperature: float = 0.2, top_p: float = 0.95, seed: int = 0
    ) -> Iterator[dict[str, Any]]:
        """Fills the one gap in code, marked <FILL_HERE> or <FILL-HERE>; streams the growing answer.

        Args:
            prompt: The code with one gap marker, at most 100,000 characters. White space counts.
            max_new_tokens: How many tokens to write at most.
            temperature: 0 is greedy; higher is more varied, up to 2.
            top_p: Only the most likely tokens that together have this probability are drawn.
            seed: The same seed and settings give the same text.

        Returns:
            The same object as /complete; generated is the middle alone.
        """
        yield from answers(prompt_with_gap, prompt, Settings(max_new_tokens, temperature, top_p, seed))

    for function in (complete, infill):
        gr.api(function, api_name=function.__name__, concurrency_limit=concurrency, concurrency_id="model")
