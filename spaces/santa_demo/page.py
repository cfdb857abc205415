"""The page: what visitors see."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from api import offer_api
from generation import Writer
from markup import CARET, header, progress, refusal, small_print, status, training_data, view
from prompt import MARKERS, MAX_SEED, MAX_TEMPERATURE, Prompt, RequestError, Settings, completion_prompt, find_markers
from prompt import infill_prompt as prompt_with_gap
from seen import SeenIndex

from examples import COMPLETE, EDITOR_LANGUAGE, EXAMPLES, INFILL, MODES, is_untouched

QUEUE_SIZE = 20
DEFAULTS = Settings()
COPY_JS = """async (text) => {
  try { await navigator.clipboard.writeText(text); }
  catch (error) {
    const area = Object.assign(document.createElement("textarea"), {value: text});
    document.body.append(area); area.select(); document.execCommand("copy"); area.remove();
  }
}"""
KEYS = '<span class="keys">**Ctrl + Enter** runs; **Esc**, then **Tab** leaves the editor.</span>'
ENDED_JS = f"""(shown, line) => {{
  const ended = line.replace('<b>writing</b>', '<b>stopped</b>');
  document.querySelector('#heard').textContent = new DOMParser().parseFromString(ended, 'text/html').body.textContent;
  return [shown.replace('{CARET}', ''), ended];
}}"""
_HERE = Path(__file__).parent
START_JS = "() => {\n" + "".join((_HERE / name).read_text("utf-8") for name in ("colours.js", "page.js")) + "}"
_UPDATE_JS = 'const update = (props) => ({__type__: "update", ...props});'
RUNNING_JS = f"""() => {{
  {_UPDATE_JS}
  return [update({{value: "Generating …", interactive: false}}), update({{interactive: true}})];
}}"""
REFUSED_JS = f"""() => {{
  {_UPDATE_JS}
  const off = update({{interactive: false}});
  return [{json.dumps(view(Prompt(""), None))}, "", "", "", update({{value: "Generate", interactive: true}}), off, off, off, off];
}}"""


def build_page(writer: Writer, index: SeenIndex | None = None, concurrency: int = 1) -> gr.Blocks:
    """Return the page with its API; `concurrency` requests run at once and QUEUE_SIZE more may wait."""
    loaded = writer.loaded
    page = gr.Blocks(title="SantaCoder demo", analytics_enabled=False)
    with page:
        gr.HTML(header(loaded), elem_id="top", js_on_load=None)
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320):
                inputs = _editor_column(loaded.max_new_tokens)
            with gr.Column(min_width=320):
                outputs = _result_column()
        gr.HTML(small_print(loaded, index), elem_id="small-print", js_on_load=None)
        _connect(page, writer, inputs, outputs, index=index, concurrency=concurrency)
        offer_api(writer, index, concurrency)
    return page.queue(max_size=QUEUE_SIZE)


def _editor_column(longest: int) -> dict[str, Any]:
    first = EXAMPLES[COMPLETE, "Python"]
    with gr.Row():
        mode = gr.Radio(MODES, value=COMPLETE, label="Mode", min_width=150, scale=2)
        language = gr.Radio(
            list(EDITOR_LANGUAGE), value="Python", label="Language", min_width=220, scale=3, elem_id="language"
        )
    hint = gr.Markdown(_hint(COMPLETE), elem_id="hint")
    examples = gr.Dataset(
        label="Examples",
        components=["textbox"],
        samples=[[example.text] for example in first],
        sample_labels=[example.label for example in first],
        type="index",
        elem_id="examples",
    )
    editor = gr.Code(
        first[0].text,
        language="python",
        label="Your code",
        lines=10,
        max_lines=22,
        wrap_lines=True,
        interactive=True,
        buttons=[],
        elem_id="editor",
    )
    settings = _sampling_controls(longest)
    with gr.Row(elem_id="act"):
        run = gr.Button("Generate", variant="primary", elem_id="run", min_width=140)
        halt = gr.Button("Stop", variant="stop", elem_id="halt", min_width=90, scale=0, interactive=False)
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
    line = gr.HTML(status("ready"), elem_id="status", js_on_load=None)  # first, so that a long result never hides it
    shown = gr.HTML(view(Prompt(""), None), elem_id="view", js_on_load=None)
    seen = gr.HTML("", elem_id="seen", js_on_load=None)
    # Exact carriers for copying: HTML and gr.Code would lose carriage returns and outer white space.
    whole = gr.Textbox(visible="hidden", label="Whole text", elem_id="whole")
    middle = gr.Textbox(visible="hidden", label="Generated text", elem_id="middle")
    with gr.Row(elem_id="copy-row"):
        copy_whole = gr.Button("Copy all", size="sm", min_width=80, interactive=False)
        copy_middle = gr.Button("Copy marked", size="sm", min_width=80, interactive=False)
        reuse = gr.Button("Use as input", size="sm", min_width=80, interactive=False)
    copy_whole.click(fn=None, inputs=whole, js=COPY_JS)
    copy_middle.click(fn=None, inputs=middle, js=COPY_JS)
    return {
        "view": shown, "status": line, "seen": seen, "whole": whole, "middle": middle, "reuse": reuse,
        "copy_whole": copy_whole, "copy_middle": copy_middle,
    }  # fmt: skip


def _connect(
    page: gr.Blocks,
    writer: Writer,
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    *,
    index: SeenIndex | None,
    concurrency: int,
) -> None:
    editor, mode, language = inputs["editor"], inputs["mode"], inputs["language"]
    buttons = [inputs["run"], inputs["halt"], *(outputs[name] for name in ("copy_whole", "copy_middle", "reuse"))]

    def generate(chosen: str, text: str, *numbers: float) -> Iterator[tuple[Any, ...]]:
        acting = _buttons(is_running=True)
        try:
            prompt = _read(chosen, text or "")
            for chunk in writer.stream(prompt, Settings(*numbers)):  # type: ignore[arg-type]  # stream() checks them
                shown = view(prompt, chunk), progress(chunk), prompt.with_middle(chunk.middle), chunk.middle, ""
                yield *shown, *acting
                acting = [gr.skip()] * len(buttons)
        except RequestError as error:
            # In the line of the page's own: a toast would render HTML, vanish, and tell screen readers nothing.
            yield view(Prompt(""), None), refusal(str(error)), "", "", "", *acting

    # In the browser: the first chunk comes only after the queue and the reading of the prompt.
    inputs["run"].click(fn=None, outputs=buttons[:2], js=RUNNING_JS)
    run = inputs["run"].click(
        generate,
        inputs=[mode, editor, *inputs["settings"]],
        outputs=[*(outputs[name] for name in ("view", "status", "whole", "middle", "seen")), *buttons],
        concurrency_limit=concurrency,
        concurrency_id="model",
        api_visibility="private",
        show_progress_on=outputs["status"],
        show_progress="minimal",
    )
    inputs["halt"].click(fn=None, cancels=[run])
    # What gradio itself refuses has no "then": page.js, which sees its words, presses this.
    refused = gr.Button("Refused", visible="hidden", elem_id="refused")
    blank = [*(outputs[name] for name in ("view", "whole", "middle", "seen")), *buttons]
    refused.click(fn=None, outputs=blank, js=REFUSED_JS)
    run.then(
        lambda whole: _buttons(is_running=False, has_result=bool(whole)), inputs=outputs["whole"], outputs=buttons,
        queue=False, api_visibility="private", show_progress="hidden",
    )  # fmt: skip
    # Runs after an end of any kind; only a cancelled request leaves its last state unfinished.
    shown = [outputs["view"], outputs["status"]]
    run.then(fn=None, inputs=shown, outputs=shown, js=ENDED_JS)
    if index:
        run.then(
            lambda middle: training_data(middle, index), inputs=outputs["middle"], outputs=outputs["seen"], queue=False,
            api_visibility="private", show_progress="hidden",
        )  # fmt: skip
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
    page.load(fn=None, js=START_JS)


def _buttons(*, is_running: bool, has_result: bool = False) -> list[Any]:
    """Return Generate, Stop and the three buttons of a result: Generate says that it runs, and what can't act is off."""
    return [
        gr.Button("Generating …" if is_running else "Generate", interactive=not is_running),
        gr.Button(interactive=is_running),
        *[gr.Button(interactive=has_result) for _ in range(3)],
    ]


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
        return f"Write the start; the model goes on from its last character. {KEYS}"
    return f"Put `{MARKERS[0]}` where code is missing; the model reads both sides. {KEYS}"
