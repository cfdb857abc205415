"""The page behind a web server, in its colours and on the visitor's own fonts."""

from importlib.util import find_spec
from pathlib import Path

import gradio as gr
from generation import Writer
from loading import LoadedModel, file_of, load
from page import build_page
from seen import SeenIndex
from settings import INDEX_NAME, ModelSource, StartError

FONT = ["ui-sans-serif", "system-ui", "sans-serif"]  # the visitor's own fonts: none is fetched
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]


def theme() -> gr.themes.Base:
    """Return a plain theme whose one accent, a dark red, carries white text at a contrast of 6.5:1."""
    return gr.themes.Base(
        primary_hue="red", secondary_hue="emerald", neutral_hue="stone", font=FONT, font_mono=MONO
    ).set(
        body_background_fill="*neutral_50",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        button_border_width="1px",
        button_border_width_dark="1px",
        button_secondary_background_fill="white",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_600",
        checkbox_label_background_fill_selected="*primary_50",
        checkbox_label_background_fill_selected_dark="*primary_900",
        checkbox_label_border_color_selected="*primary_700",
        slider_color="*primary_700",
        slider_color_dark="*primary_600",
        checkbox_background_color_selected="*primary_700",
        checkbox_border_color_selected="*primary_700",
    )


def find_index(loaded: LoadedModel) -> SeenIndex | None:
    """Return the index named by HF_SANTA_INDEX, or lying beside app.py or among the model's files, or None."""
    beside = Path(__file__).with_name(INDEX_NAME)
    found = loaded.source.index or (beside if beside.is_file() else file_of(loaded.source, INDEX_NAME))
    return SeenIndex(Path(found)) if found else None


def serve(source: ModelSource, host: str, port: int, concurrency: int, *, has_mcp: bool = False) -> None:
    """Load the model and serve the page until interrupted; raises StartError if either is impossible."""
    if has_mcp and find_spec("mcp") is None:
        raise StartError(
            "HF_SANTA_MCP=1 needs the package mcp. Install it with pip install 'gradio[mcp]', or unset it."
        )
    loaded = load(source)
    page = build_page(Writer(loaded), find_index(loaded), concurrency)
    try:
        page.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=has_mcp,
            run_history=False,
            enable_monitoring=False,
            footer_links=["api", "settings"],
            theme=theme(),
            css_paths=Path(__file__).with_name("style.css"),
        )
    except OSError as error:
        raise StartError(f"Port {port} on {host} cannot be used: {error}") from error
    print(f"santa_demo: ready url=http://{host}:{port} model={loaded.source.name} {loaded.fingerprint}", flush=True)
    page.block_thread()
