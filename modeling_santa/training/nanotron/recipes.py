"""The training recipes: the table from which every file in `training/configs/` is generated.

Run `python -m modeling_santa.training.nanotron.recipes` after a change; a test compares the files with the table.

Sources: examples/pretrain_gpt_1B_santacoder.sh of bigcode-project/Megatron-LM (the launch script that BigCode
published); report, section 5.1; the card of bigcode/santacoder.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from modeling_santa.errors_santa import ModelError

SCHEMAS = ("0.4", "head")
CONFIGS = Path(__file__).resolve().parents[1] / "configs"
NO_DECAY = [r".*\.bias", r".*\.ln_1\..*", r".*\.ln_2\..*", r".*final_layer_norm\..*"]

# Differs from the report: bfloat16 instead of float16, which would need loss scaling; nanotron has none.
# Differs from the report: 8 GPUs x 8 sequences x 3 accumulated instead of 96 x 2; the batch is 192 sequences as there.
DEVIATIONS = {
    "dtype: bfloat16": "Differs from the report: float16 there; nanotron has no loss scaling",
    "dp: 8": "Differs from the report: 96 V100 with 2 sequences each there; the same 192 sequences a step",
}


@dataclass(frozen=True)
class RunRecipe:
    """Holds what a training run is made of; the defaults are the published 1.1B model's.

    The cosine ends at step `decay_end`. The published script decays over 600,000 steps also where it stops at 300,000.
    """

    name: str
    about: str
    data: str = "base"  # the recipe of `data_recipes` whose rows are packed
    steps: int = 300_000
    decay_end: int = 600_000
    learning_rate: float = 2e-4
    n_layer: int = 24
    n_embd: int = 2048
    n_head: int = 16
    n_kv_head: int = 1
    vocab_size: int = 49_157  # padded to a multiple of 128: 49,280
    seq_len: int = 2048
    dropout: float = 0.1
    fim_rate: float = 0.5
    spm_rate: float = 0.5
    line_rate: float = 0.0
    fit: str = "whole"  # `mode` of FimDataset
    dp: int = 8
    micro_batch: int = 8
    accumulation: int = 3
    dtype: str = "bfloat16"
    save_every: int = 4000
    workers: int = 4
    seed: int = 1234
    is_for_cpu: bool = False

    @property
    def warmup(self) -> int:
        """The steps of linear warm-up: 2 % of those of the decay."""
        return self.decay_end // 50


def _proxy(name: str, about: str, *, steps: int, **fields: Any) -> RunRecipe:
    return RunRecipe(name, about, steps=steps, decay_end=steps, save_every=500, **fields)


_TABLE = (
    RunRecipe("santacoder-1.1b", "The published model: 600,000 steps.", data="final", steps=600_000),
    RunRecipe("mha", "Multi-head attention, with FIM; 1.3B.", n_kv_head=16),
    RunRecipe("no-fim", "Multi-query attention, without FIM.", fim_rate=0.0),
    RunRecipe("fim", "Multi-query attention and FIM: the base of the data ablations."),
    RunRecipe("stars", "Data ablation: repositories with 5 or more stars.", data="stars"),
    RunRecipe("comments", "Data ablation: files with 1 to 80 % comments.", data="comments"),
    RunRecipe("fertility", "Data ablation: files with many characters a token.", data="fertility"),
    RunRecipe("dedup-alt", "Data ablation: the stronger near-deduplication.", data="near_dedup_alt"),
    RunRecipe("final", "Stronger near-deduplication and comments: what was published.", data="final", steps=600_000),
    _proxy("proxy-20m", "A model of 20M.", steps=1000, learning_rate=1e-3, n_layer=10, n_embd=256, n_head=4),
    _proxy("proxy-125m", "A model of 125M.", steps=6400, learning_rate=6e-4, n_layer=14, n_embd=768, n_head=12),
    _proxy("proxy-350m", "A model of 350M.", steps=17_800, learning_rate=3e-4, n_layer=28, n_embd=1024),
    RunRecipe(
        "cpu",
        "A model of 1.3M for a CPU: minutes, to try the whole way.",
        steps=200,
        decay_end=200,
        learning_rate=3e-3,
        n_layer=4,
        n_embd=128,
        n_head=4,
        vocab_size=4101,
        seq_len=256,
        dropout=0.0,
        dp=1,
        accumulation=1,
        dtype="float32",
        save_every=50,
        workers=0,
        is_for_cpu=True,
    ),
)
RUN_RECIPES = {recipe.name: recipe for recipe in _TABLE}
"""The training recipes by name."""


def as_config(recipe: RunRecipe, schema: str = "0.4") -> dict[str, Any]:
    """Return the recipe as nanotron's configuration: in the schema of its release 0.4, or of its current head.

    Raises:
        ValueError: the schema is unknown.

    >>> as_config(RUN_RECIPES["santacoder-1.1b"])["tokens"]["train_steps"]
    600000
    """
    if schema not in SCHEMAS:
        raise ModelError(f"train: schema {schema!r} is unknown. Choose one of {', '.join(SCHEMAS)}.")
    is_head = schema == "head"
    data = {"dataset": None, "seed": recipe.seed, "num_loading_workers": recipe.workers}
    config: dict[str, Any] = {
        "general": {"project": "hf-santa", "run": recipe.name, "seed": recipe.seed, "ignore_sanity_checks": True},
        "parallelism": {"dp": recipe.dp, "pp": 1, "tp": 1, "pp_engine": "1f1b", "tp_mode": "ALL_REDUCE"},
        "model": _model(recipe),
        "tokenizer": {"tokenizer_name_or_path": None},
        "checkpoints": {
            "checkpoints_path": "checkpoints",
            "checkpoint_interval": recipe.save_every,
            "resume_checkpoint_path": None,
            "checkpoints_path_is_shared_file_system": True,
        },
        "logging": {"log_level": "warning", "log_level_replica": "warning", "iteration_step_info_interval": 1},
        "tokens": {
            "sequence_length": recipe.seq_len,
            "train_steps": recipe.steps,
            "micro_batch_size": recipe.micro_batch,
            "batch_accumulation_per_replica": recipe.accumulation,
        },
        "optimizer": _optimizer(recipe, is_head=is_head),
        "fim": {
            "recipe": recipe.data,
            "fim_rate": recipe.fim_rate,
            "spm_rate": recipe.spm_rate,
            "line_rate": recipe.line_rate,
            "mode": recipe.fit,
        },
    }
    config |= {"data_stages": [{"name": "all", "start_training_step": 1, "data": data}]} if is_head else {"data": data}
    return config


def _model(recipe: RunRecipe) -> dict[str, Any]:
    return {
        "dtype": recipe.dtype,
        "init_method": {"std": 0.022},
        "make_vocab_size_divisible_by": 128,
        "model_config": {
            "is_santa_config": True,
            "vocab_size": recipe.vocab_size,
            "hidden_size": recipe.n_embd,
            "num_hidden_layers": recipe.n_layer,
            "num_attention_heads": recipe.n_head,
            "num_key_value_heads": recipe.n_kv_head,
            "intermediate_size": 4 * recipe.n_embd,
            "max_position_embeddings": recipe.seq_len,
            "layer_norm_epsilon": 1e-5,
            "attn_pdrop": recipe.dropout,
            "resid_pdrop": recipe.dropout,
            "embd_pdrop": recipe.dropout,
            "tie_word_embeddings": True,
        },
    }


def _optimizer(recipe: RunRecipe, *, is_head: bool) -> dict[str, Any]:
    adam = {"adam_beta1": 0.9, "adam_beta2": 0.95, "adam_eps": 1e-8, "torch_adam_is_fused": not recipe.is_for_cpu}
    factory = {"optimizer_factory": {"name": "adamW", **adam}, "weight_decay_exclude_named_params": NO_DECAY}
    return {
        "zero_stage": 0 if recipe.is_for_cpu else 1,
        "weight_decay": 0.1,
        "clip_grad": 1.0,
        "accumulate_grad_in_fp32": recipe.dtype != "float32",
        **(factory if is_head else adam),
        "learning_rate_scheduler": {
            "learning_rate": recipe.learning_rate,
            "lr_warmup_steps": recipe.warmup,
            "lr_warmup_style": "linear",
            "lr_decay_style": "cosine",
            "lr_decay_starting_step": recipe.warmup,
            "lr_decay_steps": recipe.decay_end - recipe.warmup,
            "min_decay_lr": 0.0,
        },
    }


def as_yaml(recipe: RunRecipe, schema: str = "0.4") -> str:
    """Return the file of a recipe: a comment that says what it is, and a remark on every deviation from the report."""
    lines = [
        f"# {recipe.name}: {recipe.about} Data: recipe {recipe.data!r}.",
        f"# nanotron {schema}. Generated from training/nanotron/recipes.py; change it there.",
    ]
    for line in yaml.safe_dump(as_config(recipe, schema), sort_keys=False).splitlines():
        remark = DEVIATIONS.get(line.strip())
        lines.append(f"{line}  # {remark}" if remark else line)
    return "\n".join(lines) + "\n"


def config_path(name: str, schema: str = "0.4") -> Path:
    """Return where the file of a recipe lies: `configs/NAME.yaml`, and for nanotron's head `configs/head/NAME.yaml`."""
    return (CONFIGS / "head" if schema == "head" else CONFIGS) / f"{name}.yaml"


def main() -> None:
    """Write every file anew."""
    for schema in SCHEMAS:
        for name, recipe in RUN_RECIPES.items():
            path = config_path(name, schema)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(as_yaml(recipe, schema))


if __name__ == "__main__":
    main()
