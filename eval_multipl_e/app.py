"""The metric's own page: what it does, which toolchains are here, and, where that is allowed, a form to run a program.

`evaluate.utils.launch_gradio_widget` is not used: it needs parts of gradio that were removed in gradio 4.
"""

import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "0")

import evaluate
import gradio as gr

HERE = Path(__file__).parent
USAGE = """import os
os.environ["HF_ALLOW_CODE_EVAL"] = "1"  # you accept that programs written by a model are run

import evaluate
metric = evaluate.load("eval_multipl_e")  # a folder, or OWNER/eval_multipl_e
metric.compute(
    predictions=[["    return a + b\\n", "    return a - b\\n"]],
    references=["assert add(1, 2) == 3"],
    languages=["py"],
    prompts=["def add(a, b):\\n"],
)"""


def load_parts() -> Any:
    """The metric's module, loaded the way its users load it, by its entry file."""
    metric = evaluate.load(str(HERE / "eval_multipl_e.py"))
    return sys.modules[type(metric).__module__]


def toolchain_rows(parts: Any) -> list[list[str]]:
    """One row a language: code, name, time limit, and the version found here or the command that installs it."""
    return [
        [row.code, row.name, f"{row.run_timeout_s:g} s", parts.toolchain_version(row.code) or f"missing: {row.install}"]
        for row in parts.LANGUAGES.values()
    ]


def build_page(parts: Any, *, is_running_allowed: bool) -> gr.Blocks:
    """The page; the form that runs programs is there only where running them is allowed."""
    with gr.Blocks(title="MultiPL-E metric") as page:
        gr.Markdown(
            "# MultiPL-E metric\n"
            "Runs completions of code problems with their tests and gives pass@k: overall, for each language, with "
            "intervals, and with a row for each program. Programs run behind Linux namespaces, without network, home "
            "folder or privileges."
        )
        gr.Code(USAGE, language="python", label="Use", interactive=False)
        gr.Markdown("## Toolchains here")
        gr.Dataframe(
            toolchain_rows(parts),
            headers=["code", "language", "time limit", "toolchain"],
            interactive=False,
            wrap=True,
            max_height=1100,
        )
        gr.Markdown(f"Sandbox here: **{parts.available() or 'none works on this machine'}**")
        if is_running_allowed:
            add_form(parts)
        else:
            gr.Markdown("Running programs on this page is off: it would run strangers' programs on this machine.")
    return page


def add_form(parts: Any) -> None:
    """The form that runs one program behind the sandbox."""

    def check(program: str, language: str) -> tuple[str, str]:
        """Runs one whole program with its tests and gives its status and what it printed."""
        try:
            outcome = parts.run_program(program, language)
        except (RuntimeError, ValueError) as error:
            raise gr.Error(str(error)) from error
        said = f"{outcome.status} in {outcome.seconds:.2f} s{f' ({outcome.reason})' if outcome.reason else ''}"
        return said, outcome.stdout + outcome.stderr

    gr.Markdown("## Run a program")
    language = gr.Dropdown(list(parts.LANGUAGES), value="py", label="Language")
    program = gr.Code("assert 1 + 1 == 2\n", label="Program and tests", lines=8, interactive=True)
    button = gr.Button("Run", variant="primary")
    status = gr.Textbox(label="Status")
    output = gr.Textbox(label="Output", lines=6)
    button.click(check, [program, language], [status, output], api_name="check", concurrency_limit=2)


if __name__ == "__main__":
    build_page(load_parts(), is_running_allowed=os.environ.get("HF_ALLOW_CODE_EVAL") == "1").launch()
