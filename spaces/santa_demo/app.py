"""SantaCoder demo: `HF_SANTA_MODEL=FOLDER_OR_REPO_ID python app.py [--port N]`.

See settings.py for the environment variables that choose the model.
"""

import argparse
import os
import sys
from importlib import import_module

from settings import StartError, find_source, free_port, whole_number


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Serve the SantaCoder demo for the model named by HF_SANTA_MODEL.")
    parser.add_argument("--port", type=int, help="port; default GRADIO_SERVER_PORT or 7860, 0 for any free one")
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"), help="address to bind")
    arguments = parser.parse_args()
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "0")  # before gradio is imported
    if "OMP_WAIT_POLICY" not in os.environ:  # before torch is: its threads would spin for milliseconds while they wait
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        port = whole_number(os.environ, "GRADIO_SERVER_PORT", 7860) if arguments.port is None else arguments.port
        port = free_port(arguments.host, port)
        # One request at a time by default: on CPU two at once only make both slower.
        concurrency = max(1, whole_number(os.environ, "HF_SANTA_CONCURRENCY", 1))
        source = find_source(os.environ)
        has_mcp = os.environ.get("HF_SANTA_MCP") == "1"
        import_module("gpu")  # before torch
        # torch, transformers and gradio take seconds to import: a wrong setting should not wait for them.
        import_module("server").serve(source, arguments.host, port, concurrency, has_mcp=has_mcp)
    except StartError as error:
        print(f"santa_demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
