"""A held-out folder as the step `heldout` writes it, small enough for a model of two layers."""

import json

import pytest

SETTINGS = {
    "batch_size": 4,
    "epochs": 1.0,
    "fim_rate": 0.8,
    "gguf_type": "q8_0",
    "line_rate": 0.8,
    "looks": 3,
    "lora_rank": 2,
    "lr": 1e-2,
    "memory_bytes": None,
    "seed": 0,
    "seq_len": 128,
    "server": None,
    "steps": 6,
}


def text_of(number):
    return (
        f"def area_{number}(width):\n    total = width * {number}\n    label = 'n {number}'\n    return total, label\n"
    )


@pytest.fixture
def out(tmp_path):
    """The folder: texts to train on and to watch, and a gap of each kind."""
    folder = tmp_path / "out"
    (folder / "heldout").mkdir(parents=True)
    for name, numbers in (("training", range(40)), ("validation", range(40, 46))):
        rows = [{"path": f"m{number}.py", "content": text_of(number)} for number in numbers]
        (folder / "heldout" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = "def volume(side):\n    edge = side\n"
    gaps = [
        ("rest_of_line", f"{before}    ret", "urn edge ** 3", "\n"),
        ("line", before, "    return edge ** 3\n", ""),
        ("block", before, "    cube = edge ** 3\n    return cube\n", "\n\nx = 1\n"),
    ]
    rows = [
        {"kind": kind, "by": "file", "path": f"{kind}.py", "lang": "Python", "prefix": p, "middle": m, "suffix": s}
        for kind, p, m, s in gaps
    ]
    (folder / "heldout" / "gaps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def settings():
    """What the command line gives, for a run of six steps."""
    return dict(SETTINGS)
