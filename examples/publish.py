"""Stage the four repositories from a demo's output, and show what publishing them would change; nothing is written.

    python examples/publish.py out/demo out/repos --namespace me

Needs a token (`hf auth login`), because it looks at the repositories on the Hub. Leave out `--dry-run` below to publish.
"""

import argparse
import subprocess

parser = argparse.ArgumentParser()
parser.add_argument("demo", help="what `hf-santa demo` wrote")
parser.add_argument("out", help="folder for the repositories")
parser.add_argument("--namespace", required=True, help="a user or organisation of the Hub")
arguments = parser.parse_args()

for command in (
    ["stage", "all", arguments.out, "--from", arguments.demo],  # writes the folders and tries each as its users will
    ["card", "model", f"{arguments.out}/model"],  # front matter, scores and links of a card, offline
    ["publish", "all", arguments.out, "--namespace", arguments.namespace, "--dry-run"],
):
    subprocess.run(["hf-santa", *command], check=True)
