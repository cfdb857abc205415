"""Put the published repositories into a Collection on the Hub."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_santa.publishing.plan import Plan, Visibility
from hf_santa.repositories.kinds import ReleaseError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MAX_TITLE = 59  # characters; the Hub refuses more


def check_title(title: str) -> None:
    """Refuse a title that the Hub would refuse.

    Raises:
        ReleaseError: it is empty or too long.
    """
    if not 0 < len(title.strip()) <= MAX_TITLE:
        raise ReleaseError(f"--collection has {len(title.strip())} characters. Give a title of 1 to {MAX_TITLE}.")


def collect(api: "HfApi", title: str, namespace: str, plans: Sequence[Plan], visibility: Visibility | None) -> str:
    """Put the repositories into the namespace's Collection of this title, which is made if need be; return its address."""
    made = api.create_collection(title, namespace=namespace, private=visibility == "private", exists_ok=True)
    there = {(item.item_type, item.item_id) for item in made.items}
    for plan in plans:
        if (plan.kind.repo_type, plan.repo_id) not in there:
            kind: Any = plan.kind.repo_type
            api.add_collection_item(made.slug, plan.repo_id, kind, exists_ok=True)
    return made.url
