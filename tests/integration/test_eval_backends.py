"""Other ways to run a model: vLLM in this process, several devices, and lighteval's pipeline around our verdict."""

import dataclasses
import json
import sys
import types
from pathlib import Path

import pytest
import torch

from eval_multipl_e.suite.harness import lighteval_task
from eval_multipl_e.suite.problems import read_problems
from hf_santa.cli import main

sys.path.insert(0, str(Path(__file__).parents[1] / "fixtures"))
from eval_models import save

PROBLEMS = Path(__file__).parents[2] / "hf_santa/problems.jsonl"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backends")
    save("starcoder", folder / "model")
    rows = [row for row in read_problems(PROBLEMS) if row["language"] == "py"][:4]
    (folder / "p.jsonl").write_text("".join(json.dumps({**row, "prompt": row["prompt"][-40:]}) + "\n" for row in rows))
    return folder


def _complete(place, out, *more):
    words = ["--model", place / "model", "--task", "humaneval-py", "--problems", place / "p.jsonl", "--out", out]
    return main(["eval", "complete", *map(str, words), "--max-new-tokens", "8", *map(str, more)])


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """The fields of vLLM's class of this name that are used here, with its defaults."""

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: str | list | None = None
    stop_token_ids: list | None = None
    max_tokens: int | None = 16
    skip_special_tokens: bool = True
    spaces_between_special_tokens: bool = True


class LLM:
    """vLLM's class as it is published, greedy and by transformers: names, positions and what its answers are made of."""

    def __init__(self, model, *, revision, tokenizer_revision, dtype, trust_remote_code, seed):
        assert (None, None, "auto", False, 0) == (revision, tokenizer_revision, dtype, trust_remote_code, seed)
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._model, self._tokenizer = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
        config = types.SimpleNamespace(max_model_len=self._model.config.max_position_embeddings)
        self.llm_engine = types.SimpleNamespace(model_config=config)

    def get_tokenizer(self):
        """The model's tokenizer."""
        return self._tokenizer

    def get_default_sampling_params(self):
        """What the model's generation configuration asks for."""
        return SamplingParams()

    def generate(self, prompts, sampling_params=None, *, use_tqdm=True):
        """An answer for each prompt."""
        assert not use_tqdm
        assert len(prompts) == len(sampling_params)
        return [
            self._answer(prompt["prompt_token_ids"], params)
            for prompt, params in zip(prompts, sampling_params, strict=True)
        ]

    def _answer(self, ids, params):
        new, reason, why = [], "length", None
        while len(new) < params.max_tokens:
            token = int(self._model(torch.tensor([ids + new])).logits[0, -1].argmax())
            new.append(token)
            if token in (params.stop_token_ids or ()):
                reason, why = "stop", token
                break
            text = self._tokenizer.decode(new)
            why = next((stop for stop in params.stop or () if stop in text), None)
            if why is not None:
                reason = "stop"
                break
        text = self._tokenizer.decode(new[:-1] if isinstance(why, int) else new)
        text = text[: text.index(why)] if isinstance(why, str) else text
        output = types.SimpleNamespace(text=text, token_ids=new, finish_reason=reason, stop_reason=why)
        return types.SimpleNamespace(outputs=[output])


def test_vllm_continues_the_same_prompts(place, tmp_path, monkeypatch, capsys):
    """Greedy texts by vLLM's interface are those of transformers, and the settings name the backend and its version."""
    module = types.ModuleType("vllm")
    module.LLM, module.SamplingParams, module.__version__ = LLM, SamplingParams, "0.0-test"
    monkeypatch.setitem(sys.modules, "vllm", module)
    for name, more in (("own", ()), ("vllm", ("--backend", "vllm"))):
        assert 0 == _complete(place, tmp_path / f"{name}.jsonl", "--temperature", 0, "--samples", 1, *more)
    own, theirs = ((tmp_path / f"{name}.jsonl").read_text() for name in ("own", "vllm"))
    assert own == theirs
    settings = json.loads((tmp_path / "vllm.settings.json").read_text())
    assert ("vllm", "0.0-test", "starcoder") == (settings["backend"], settings["vllm"], settings["form"])
    assert "form=starcoder" in capsys.readouterr().out


def test_what_vllm_cannot_do_is_said_first(place, tmp_path, monkeypatch, capsys):
    """Without vLLM, beside a server or with a device, the command ends with one line and no file."""
    monkeypatch.setitem(sys.modules, "vllm", None)
    for more, said in (
        ((), "vLLM can't be imported"),
        (("--base-url", "http://127.0.0.1:9/v1"), "Leave one of them out"),
        (("--device", "cpu"), "CUDA_VISIBLE_DEVICES"),
    ):
        assert 2 == _complete(place, tmp_path / "none.jsonl", "--backend", "vllm", *more)
        assert said in capsys.readouterr().err
    assert not (tmp_path / "none.jsonl").exists()


def test_two_devices_write_what_one_writes(place, tmp_path, capsys):
    """A process a device, each with its share of the batches: the same bytes as one device, and no part left over."""
    more = ("--temperature", 0.8, "--samples", 2, "--batch-size", 2)
    assert 0 == _complete(place, tmp_path / "one.jsonl", *more, "--device", "cpu")
    assert 0 == _complete(place, tmp_path / "two.jsonl", *more, "--device", "cpu,cpu")
    assert "rows=8 kept=0" in capsys.readouterr().out.splitlines()[-1]
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert ["one.jsonl", "one.settings.json", "two.jsonl", "two.settings.json"] == sorted(
        p.name for p in tmp_path.iterdir()
    )
    assert 2 == _complete(place, tmp_path / "x.jsonl", "--device", "cpu,cpu", "--shard", "0/2")
    assert "a share is not divided again" in capsys.readouterr().err


@dataclasses.dataclass
class _Named:
    """Stands for lighteval's data classes, whose fields are given by name."""

    fields: dict

    @classmethod
    def of(cls, **fields):
        return cls(fields)


def test_a_lighteval_task_has_what_its_pipeline_asks_for(tmp_path, monkeypatch):
    """The configuration's folder holds the problems, a document the prompt, and the metric is our verdict."""
    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")
    modules = {
        "metrics.metrics_sample": {"SampleLevelComputation": object},
        "metrics.utils.metric_utils": {"SampleLevelMetric": _Named.of},
        "tasks.lighteval_task": {"LightevalTaskConfig": _Named.of},
        "tasks.requests": {"Doc": _Named.of, "SamplingMethod": types.SimpleNamespace(GENERATIVE="g")},
    }
    for name, content in modules.items():
        module = types.ModuleType(f"lighteval.{name}")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, f"lighteval.{name}", module)
    row = {
        "name": "p",
        "language": "py",
        "prompt": "def f(x):\n",
        "tests": "assert f(1) == 2",
        "stop_tokens": ["\ndef"],
    }
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps(row) + "\n")
    task = lighteval_task("humaneval-py", path=path).fields
    (line,) = Path(task["hf_repo"], "test.jsonl").read_text().splitlines()
    document = types.SimpleNamespace(**task["prompt_function"](json.loads(line), "t").fields)
    assert ("def f(x):\n", ["\ndef"]) == (document.query, task["stop_sequence"])
    compute = task["metrics"][0].fields["sample_level_fn"].compute
    answers = [types.SimpleNamespace(final_text=[text]) for text in ("    return x + 1", "    exit(0)")]
    assert [1.0, 0.0] == [compute(model_response=answer, doc=document) for answer in answers]
