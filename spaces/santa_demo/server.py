"""The page behind a web server, in its colours and on the visitor's own fonts."""

from pathlib import Path

import gradio as gr
from loading import load
from page import build_page
from settings import Source, StartError

FONT = ["ui-sans-serif", "system-ui", "sans-serif"]  # the visitor's own fonts: none is fetched
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]


def theme() -> gr.themes.Base:
    """Return a plain theme whose one accent, a dark red, carries white text at a contrast of 6.5:1."""
    return gr.themes.Base(
        primary_hue="red", secondary_hue="emerald", neutral_hue="stone", font=FONT, font_mono=MONO
    ).set(
        body_background_fill="*neutral_50",
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


def serve(source: Source, host: str, port: int, concurrency: int) -> None:
    """Load the model and serve the page until interrupted; raises StartError if either is impossible."""
    loaded = load(source)
    page = build_page(loaded, concurrency)
    try:
        page.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            pwa=False,
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
