"""Train one model of the ablation, and measure it on what all variants share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_santa.ablate.corpora import held_rows
from hf_santa.ablate.variants import Scale, Variant
from hf_santa.files import read_json, write_json
from hf_santa.measures import bits_per_byte, graded, hits_of, infilled, line_tasks, loss_of
from hf_santa.sampling import model_sampling

BODY_TOKENS = 64


class Measurer:
    """What every model is measured on: held-out windows, lines to infill, and the demo's problems."""

    def __init__(self, out: Path, scale: Scale, *, tasks: int, samples: int) -> None:
        from transformers import AutoTokenizer

        from eval_multipl_e.suite.problems import read_problems
        from hf_santa.problems import PROBLEMS
        from modeling_santa.corpus.fim_samples import read_tokens
        from modeling_santa.corpus.windows import windows_of
        from modeling_santa.tokenizer.train import load_tokenizer, token_bytes

        self.tokenizer = AutoTokenizer.from_pretrained(out / "tokenizer")
        self.bytes_of = token_bytes(load_tokenizer(out / "tokenizer"))
        self.windows = windows_of(read_tokens(out / "corpora" / "heldout"), scale.seq_len)
        self.tasks = line_tasks(held_rows(out / "store"), count=tasks, seed=0)
        self.problems = read_problems(PROBLEMS)
        self.samples = samples

    def __call__(self, model: Any, seed: int) -> dict[str, Any]:
        """Return loss, bits per byte, hits of the infilling tasks, and completions of the problems."""
        nats = loss_of(model, self.windows)
        hits = hits_of(self.tasks, infilled(model, self.tokenizer, self.tasks))
        return {
            "loss": nats / self.windows[:, 1:].size,
            "bits_per_byte": bits_per_byte(nats, self.windows, self.bytes_of),
            "exact_match": sum(hits) / len(hits) if hits else None,
            "hits": hits,
            "infilling": {mode: graded(model, self.tokenizer, self.tasks, mode) for mode in ("psm", "spm")},
            "completions": self._completions(model, seed) if self.samples else [],
        }

    def _completions(self, model: Any, seed: int) -> list[list[str]]:
        """Return `samples` continuations of each problem, at the report's temperature 0.2 and top-p 0.95."""
        from eval_multipl_e.suite.completing import AnswerSettings, GapPrompt
        from eval_multipl_e.suite.model import Continuer

        asked = AnswerSettings(temperature=0.2, max_new_tokens=BODY_TOKENS)
        continuer = Continuer(model, self.tokenizer, model_sampling(), asked)
        prompts = [
            GapPrompt(problem["prompt"], None, tuple(problem["stop_tokens"]), f"{seed}/{problem['name']}/{sample}")
            for problem in self.problems
            for sample in range(self.samples)
        ]
        texts = [found.text for found in continuer(prompts)]
        return [texts[at : at + self.samples] for at in range(0, len(texts), self.samples)]


def train_one(
    variant: Variant, seed: int, scale: Scale, out: Path, *, measure: Measurer, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Train and measure a variant with a seed, or return what was measured before; goes on from its checkpoints."""
    import torch

    from modeling_santa.configuration_santa import SantaConfig
    from modeling_santa.corpus.fim_samples import FimDataset, read_tokens
    from modeling_santa.modeling_santa import SantaForCausalLM
    from modeling_santa.tokenizer.train import load_tokenizer, padded_vocab_size
    from modeling_santa.training.loop.loop import TrainingPlan, train
    from modeling_santa.training.loop.team import join

    run = out / "runs" / f"{variant.name}-seed{seed}"
    identity = {**vars(variant), "seed": seed, **settings}
    if (run / "result.json").is_file():
        found: dict[str, Any] = read_json(run / "result.json", {"identity": dict})
        if found["identity"] == identity:
            return found
    tokenizer = load_tokenizer(out / "tokenizer")
    torch.manual_seed(seed)
    end_id = tokenizer.token_to_id("<|endoftext|>")
    model = SantaForCausalLM(
        SantaConfig(
            vocab_size=padded_vocab_size(tokenizer),
            n_positions=scale.seq_len,
            n_embd=scale.n_embd,
            n_layer=scale.n_layer,
            n_head=scale.n_head,
            multi_query=variant.multi_query,
            bos_token_id=end_id,
            eos_token_id=end_id,
            pad_token_id=tokenizer.token_to_id("<fim-pad>"),
            # Differs from the report: no dropout. A variant reads its files about once.
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        )
    )
    tokens = read_tokens(out / "corpora" / variant.recipe)
    data = FimDataset(
        tokens, tokenizer, seq_len=scale.seq_len, seed=seed, **{"fim_rate": variant.fim_rate, **settings["fim"]}
    )
    steps = max(1, settings["tokens"] // (scale.batch_size * scale.seq_len))
    plan = TrainingPlan(
        steps=steps,
        batch_size=scale.batch_size,
        micro_batch=scale.micro_batch,
        seed=seed,
        evaluate_every=steps,
        save_every=100,
    )
    # The loop measures at its end; what is reported is measured below, in float32 and for all variants alike.
    team = join("cuda" if scale.needs_gpu else "cpu")
    model = model.to(team.device)
    result = train(model, data, plan, run / "checkpoints", heldout=measure.windows[:2], heldout_bytes=1, team=team)
    found = {
        "identity": identity,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "tokens": result["steps"] * scale.batch_size * scale.seq_len,
        "epochs": result["steps"] * scale.batch_size / len(data),
        "train_loss": result["log"][-1]["loss"],
        **measure(model.eval(), seed),
    }
    write_json(run / "result.json", found)
    return found
