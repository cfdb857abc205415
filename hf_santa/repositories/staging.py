"""Write repository folders, check each, and record what was checked in OUT/verified.json."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_recipes.store.reading import mismatch, read_funnel
from data_recipes.store.training_index import write_seen_index
from hf_santa.files import read_json, write_json
from hf_santa.repositories.clean_process import START_LIMIT_S
from hf_santa.repositories.guard import check_folder
from hf_santa.repositories.kinds import KINDS, Kind, ReleaseError, digest_of
from hf_santa.repositories.lint import check_card
from hf_santa.repositories.model_card import DEMO, MEASURES, CardWords, write_model_card
from hf_santa.repositories.static_space import stage_static_space
from hf_santa.repositories.verify import verify
from hf_santa.repositories.write import stage_dataset, stage_metric, stage_model, stage_space
from modeling_santa.gguf_export import GgufType, export_gguf

VERIFIED = "verified.json"


@dataclass(frozen=True)
class Sources:
    """Where the artefacts are: the folder of a demo's run, or what replaces its parts."""

    run: Path
    model: Path | None = None
    tokenizer: Path | None = None
    dataset: Path | None = None
    measures: Path | None = None
    results: list[Path] = field(default_factory=list)
    words: CardWords = field(default_factory=CardWords)
    gguf: GgufType | None = None  # the type of a GGUF file beside the weights
    is_static: bool = False  # the Space is the page that runs in the browser
    hardware: str | None = None  # the machine that the Space's card suggests

    @property
    def store(self) -> Path:
        """The dataset that `hf-santa data run` wrote."""
        return self.dataset or self.run / "dataset"

    @property
    def training_data(self) -> Path | None:
        """The store that the model is known to have been trained on: of a model of one's own, only the one that was named."""
        is_known = self.model is None or self.dataset
        return self.store if is_known and (self.store / "funnel.json").is_file() else None


def stage(
    kinds: Sequence[Kind],
    sources: Sources,
    out: Path,
    say: Callable[[str], None],
    *,
    start_limit_s: float = START_LIMIT_S,
) -> list[dict[str, str]]:
    """Write each repository's folder below `out`, then check all of them; return kind, folder and what was seen of each.

    Raises:
        ReleaseError: a folder must not be published; the message names the file.
        StageError: an artefact is missing, or a folder does not open.
    """
    if sources.is_static and sources.hardware:
        raise ReleaseError(
            "--suggested-hardware names a machine, and a --static Space needs none. Leave out one of the two."
        )
    if out.resolve() == sources.run.resolve():
        raise ReleaseError(f"{out} holds the artefacts themselves. Name another folder for the repositories.")
    for kind in kinds:
        _write(kind, sources, out)
    repositories = []
    for kind in kinds:
        started = time.monotonic()
        seen = checked(kind, out, is_anew=True, start_limit_s=start_limit_s)
        say(f"stage={kind.name} {seen} {time.monotonic() - started:.0f}s {out / kind.folder}")
        repositories.append({"kind": kind.name, "folder": kind.folder, "seen": seen})
    return repositories


def checked(kind: Kind, out: Path, *, is_anew: bool = False, start_limit_s: float = START_LIMIT_S) -> str:
    """Check a staged folder: nothing forbidden, a good card, opened as users will. What passed once is not tried again.

    Raises:
        ReleaseError: it must not be published.
        StageError: it does not open.
    """
    folder = out / kind.folder
    check_folder(folder, kind)
    check_card(folder, kind)
    known: dict[str, dict[str, str]] = _noted(out)
    digest = digest_of(folder)
    noted = known.get(kind.name)
    if noted and noted["sha256"] == digest and not is_anew:
        return noted["seen"]
    seen = verify(kind, out, start_limit_s=start_limit_s)
    write_json(out / VERIFIED, {**_noted(out), kind.name: {"sha256": digest, "seen": seen}})
    return seen


def _noted(out: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((out / VERIFIED).read_text())
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return found if mismatch(found, {...: {"sha256": str, "seen": str}}) is None else {}


def _write(kind: Kind, sources: Sources, out: Path) -> None:
    folder = out / kind.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    if kind.name == "dataset":
        stage_dataset(sources.store, folder)
    elif kind.name == "metric":
        stage_metric(folder)
    elif kind.name == "space" and sources.is_static:
        model = out / KINDS["model"].folder
        stage_static_space(model, folder, type=sources.gguf or "q8_0", store=sources.training_data)
    elif kind.name == "space":
        stage_space(folder, sources.hardware)
        if sources.training_data:
            write_seen_index(sources.training_data, folder / "training.index")
    else:
        _write_model(sources, folder)


def _write_model(sources: Sources, folder: Path) -> None:
    trained = sources.model or sources.run / "trained"
    # Of a model of one's own, nothing is known but what one gives: the demo's numbers are not its numbers.
    is_demo = sources.model is None
    stage_model(trained, sources.tokenizer or (sources.run / "tokenizer" if is_demo else trained), folder)
    if sources.gguf:
        export_gguf(folder, folder / f"model-{sources.gguf}.gguf", type=sources.gguf)
    measures = sources.measures or trained / "measures.json"
    funnel = sources.training_data / "funnel.json" if sources.training_data else None
    demo = sources.run / "results.json" if is_demo else None
    write_model_card(
        folder,
        words=sources.words,
        measures=_read(measures, MEASURES),
        funnel=read_funnel(sources.store) if funnel and funnel.is_file() else None,
        demo=_read(demo, DEMO),
        results=sources.results,
    )


def _read(path: Path | None, shape: dict[str, Any]) -> dict[str, Any] | None:
    if path is None or not path.is_file():
        return None
    found: dict[str, Any] = read_json(path, shape, "Make it again.")
    return found
