"""Prepare a card for the Hub: links to its sister repositories, and sections that people wrote there.

A card ends with a line that holds a digest of what stands above it. What is written below that line is kept by every
later publication. Where the text above no longer has its digest, somebody edited it on the Hub: a section of it that
the new card has not is kept too, below the line. A change inside a section that is made anew is replaced.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hf_santa.repositories.kinds import KINDS, Kind, ReleaseError, split_card

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_LINE = re.compile(r"^<!-- hf-santa ([0-9a-f]{12}): .*-->\n?", re.MULTILINE)
_WORDS = {
    "dataset": "the training data",
    "model": "the model",
    "metric": "the metric",
    "space": "the demo",
}


def together(kind: Kind, ids: Mapping[str, str], beside: Sequence[str], project: str | None) -> str:
    """Return a section that links to the other repositories, those of `beside`, and to the project's address."""
    lines = [
        f"- {_WORDS[name]}: [{ids[name]}](https://huggingface.co/{_path(KINDS[name])}{ids[name]})"
        for name in KINDS
        if name in beside and name != kind.name
    ]
    if project:
        lines.append(f"- the project: [{project}]({project})")
    return "\n## Published together\n\n" + "\n".join(lines) + "\n" if lines else ""


def _path(kind: Kind) -> str:
    return "" if kind.repo_type == "model" else f"{kind.repo_type}s/"


def remote_card(api: "HfApi", kind: Kind, repo_id: str, revision: str) -> str | None:
    """Return the card that the repository has on the Hub; None where it has none."""
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

    url = hf_hub_url(repo_id, "README.md", repo_type=kind.repo_type, revision=revision, endpoint=api.endpoint)
    answer = get_session().get(url, headers=build_hf_headers(token=api.token), follow_redirects=True)
    try:
        hf_raise_for_status(answer)
    except RevisionNotFoundError:
        return None if revision == "main" else remote_card(api, kind, repo_id, "main")
    except (EntryNotFoundError, RepositoryNotFoundError):
        return None
    return answer.content.decode("utf-8", "replace")


def with_kept(card: str, remote: str | None) -> tuple[str, int]:
    r"""Return the card with what was written on the Hub below its last line, and how many sections that are.

    >>> first, _ = with_kept("# A\n", None)
    >>> again, kept = with_kept("# A, new\n", first + "## By hand\n")
    >>> again.startswith("# A, new"), again.endswith("## By hand\n"), kept
    (True, True, 1)
    """
    made = card.rstrip() + "\n"
    line = f"<!-- hf-santa {_digest(made)}: what you write below this line is kept by the next publication -->\n"
    found = _LINE.search(remote or "")
    if remote is None or not found:
        return f"{made}\n{line}", 0
    above, below = remote[: found.start()], remote[found.end() :].strip()
    new = {heading for heading, _ in _sections(made)} | {heading for heading, _ in _sections(below)}
    moved = [text for heading, text in _sections(above) if heading not in new] if _digest(above) != found[1] else []
    kept = "\n\n".join(part.strip() for part in (*moved, below) if part.strip())
    return f"{made}\n{line}" + (f"\n{kept}\n" if kept else ""), max(len(_sections(kept)), bool(kept))


def _digest(card: str) -> str:
    """A digest of a card's text without its front matter, which the Hub's own forms write."""
    try:
        text = split_card(card)[1]
    except ReleaseError:
        text = card
    return hashlib.sha256(text.strip().replace("\r\n", "\n").encode()).hexdigest()[:12]


def _sections(text: str) -> list[tuple[str, str]]:
    """The sections of a text that begin with `## `, outside of code, each with its heading."""
    found: list[tuple[str, list[str]]] = []
    is_code = False
    for line in text.split("\n"):
        is_code ^= line.lstrip().startswith(("```", "~~~"))
        if line.startswith("## ") and not is_code:
            found.append((line[3:].strip(), []))
        if found:
            found[-1][1].append(line)
    return [(heading, "\n".join(lines)) for heading, lines in found]
