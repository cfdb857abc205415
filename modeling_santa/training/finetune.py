"""Fine-tune a model with transformers' Trainer, all weights or LoRA; a killed run can go on."""

import json
import logging
import math
import os
import shutil
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch.utils.data import Dataset
from tqdm import tqdm
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from modeling_santa.capabilities_santa import has_fast_bf16
from modeling_santa.checkpoints import read_config
from modeling_santa.errors_santa import ModelError
from modeling_santa.layouts_santa import is_original
from modeling_santa.modeling_santa import SantaForCausalLM
from modeling_santa.tokenizer.train import load_tokenizer
from modeling_santa.training.loop.step import enable_checkpointing

LORA_LAYERS = ("c_attn", "c_proj", "c_fc")
logger = logging.getLogger("hf_santa.model")
WHOLE = "whole.json"  # written last into a checkpoint: the sizes of all its files
KEPT = 2
BEST = "best.safetensors"
LARGE_MODEL = 100_000_000  # parameters; with more, a GPU takes one sequence at a time unless told otherwise


class FinetuneError(ModelError, RuntimeError):
    """A model cannot be fine-tuned, or a run cannot go on; the message says what was seen and what to do."""


@dataclass(frozen=True)
class FinetunePlan:
    """Says how long and how fast a model is fine-tuned; `lora_rank` 0 trains every weight."""

    steps: int
    batch_size: int = 8  # sequences a step, over all devices
    micro_batch: int | None = None  # sequences of a device at a time; None: all, or 1 of a large model on a GPU
    checkpoint_activations: bool = False
    lr: float = 5e-5
    weight_decay: float = 0.1
    warmup_share: float = 0.05
    clip: float = 1.0
    seed: int = 0
    save_every: int = 100
    lora_rank: int = 0
    patience: int = 3  # looks at held-back samples, one a checkpoint, without a new best one, after which training ends


class EpochSamples(Protocol):
    """What samples are drawn from, by epoch and number alone: FimDataset, or another family's samples."""

    def __len__(self) -> int:
        """Return the number of samples in an epoch."""

    def sample(self, epoch: int, index: int) -> tuple[Any, Any]:
        """Return inputs and labels, shifted already."""

    def save_tokenizer(self, folder: Path, config: Any) -> None:
        """Write the tokenizer that the samples were made with into a folder, for a model of this configuration."""


class DrawnSamples(Dataset[dict[str, torch.Tensor]]):
    """All samples of a run in the order of training: number i is drawn by (seed, epoch, index) alone."""

    def __init__(self, source: EpochSamples, plan: FinetunePlan) -> None:
        self.source, self.seed = source, plan.seed
        self.count = plan.steps * plan.batch_size
        self.order: tuple[int, Any] = (-1, None)

    def __len__(self) -> int:
        """Return the number of samples that the run takes."""
        return self.count

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        """Return sample `number`; its labels are shifted already."""
        epoch, at = divmod(number, len(self.source))
        if self.order[0] != epoch:
            self.order = epoch, np.random.default_rng((self.seed, epoch)).permutation(len(self.source))
        return _as_tensors(self.source.sample(epoch, int(self.order[1][at])))


class HeldSamples(Dataset[dict[str, torch.Tensor]]):
    """The samples of the first epoch, up to so many, that say when training no longer helps."""

    def __init__(self, source: EpochSamples, most: int = 64) -> None:
        self.source, self.count = source, min(most, len(source))

    def __len__(self) -> int:
        """Return how many there are."""
        return self.count

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        """Return one, spread evenly over the source."""
        return _as_tensors(self.source.sample(0, number * len(self.source) // self.count))


def _as_tensors(sample: tuple[Any, Any]) -> dict[str, torch.Tensor]:
    inputs, labels = (torch.from_numpy(side) for side in sample)
    return {"input_ids": inputs, "labels": labels, "shift_labels": labels}


def open_to_finetune(folder: Path, seq_len: int) -> tuple[SantaForCausalLM, Tokenizer]:
    """Return model, in float32, and tokenizer of a folder.

    Raises:
        FinetuneError: another architecture, a pickle, a tokenizer that does not belong to the model, or too long a
            sequence.
        ValueError: no config, no tokenizer, or damaged weights.
    """
    config = read_config(folder)
    kind = config.get("model_type")
    if kind != "gpt_bigcode" and not is_original(config):
        raise FinetuneError(
            f"{folder} holds a model of type {kind!r} ({', '.join(config.get('architectures') or ['unnamed'])}), "
            "expected 'gpt_bigcode' or SantaCoder's original layout. Models of other families are trained by hf-santa tune: "
            f"hf-santa tune SOURCE --base {folder} --out OUT"
        )
    if not list(folder.glob("*.safetensors")) and list(folder.glob("*.bin")):
        raise FinetuneError(
            f"{folder} has pickled weights only. Convert it first, which reads tensors and no code: "
            f"hf-santa model convert {folder} NEW_FOLDER"
        )
    tokenizer = load_tokenizer(folder)
    size, end_id = tokenizer.get_vocab_size(with_added_tokens=True), tokenizer.token_to_id("<|endoftext|>")
    vocabulary, eos = config.get("vocab_size"), config.get("eos_token_id")
    if not isinstance(vocabulary, int) or size > vocabulary or end_id != eos:
        raise FinetuneError(
            f"{folder}: its tokenizer has {size} tokens and ends texts with id {end_id}, its model has a vocabulary of "
            f"{vocabulary} and ends with id {eos}. Use the tokenizer that the model was trained with."
        )
    if not 1 <= seq_len <= config["n_positions"]:
        raise FinetuneError(
            f"--seq-len is {seq_len}, but the model has n_positions={config['n_positions']}. Give 1 to that many."
        )
    return SantaForCausalLM.from_pretrained(folder, dtype=torch.float32), tokenizer


def finetune(
    model: Any,
    samples: EpochSamples,
    plan: FinetunePlan,
    out: Path,
    *,
    keep_adapter: Path | None = None,
    held: EpochSamples | None = None,
) -> tuple[Any, list[dict[str, float]]]:
    """Train from the last whole checkpoint under `out`, if there is one; return the model and its loss curve.

    With `lora_rank` the adapter is merged into the weights at the end, so that the result is a plain model again;
    `keep_adapter` also saves it by itself. The same plan and data give the same bytes, however often it was killed.

    With `held` samples their loss is taken at each checkpoint, as `held_loss` in the curve. Training ends when the last
    `patience` of them brought no new best one, and the weights of the best one are the result.

    Raises:
        FinetuneError: peft is missing, the loss is not finite (with the step), or a checkpoint can't be written.
    """
    trained = with_lora(model, plan.lora_rank, plan.seed) if plan.lora_rank else model
    on_gpu = torch.cuda.is_available()
    if plan.checkpoint_activations:
        enable_checkpointing(model)
        if plan.lora_rank:
            model.enable_input_require_grads()  # otherwise nothing that a checkpoint takes in needs a gradient
    arguments = _arguments(trained, plan, out, on_gpu=on_gpu, has_held=held is not None)
    trainer = _Trainer(
        model=trained,
        args=arguments,
        train_dataset=DrawnSamples(samples, plan),
        eval_dataset=None if held is None else HeldSamples(held),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_Bar())
    best = _Best(trained, out / BEST, plan.patience)
    if held is not None:
        trainer.add_callback(best)
    last = last_checkpoint(out)
    if last is None or not best.is_over(json.loads((last / "trainer_state.json").read_text())["log_history"]):
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        history = trainer.state.log_history
    else:
        history = json.loads((last / "trainer_state.json").read_text())["log_history"]
    if held is not None:
        best.restore()
    curve = [{"step": row["step"], "loss": row["loss"]} for row in history if "loss" in row]
    curve += [{"step": row["step"], "held_loss": row["eval_loss"]} for row in history if "eval_loss" in row]
    result: Any = trainer.accelerator.unwrap_model(trained, keep_fp32_wrapper=False)
    if plan.lora_rank:
        if keep_adapter is not None:
            result.save_pretrained(keep_adapter)
        result = result.merge_and_unload()
    result.config.use_cache = True  # Trainer turns it off for training; a saved model would generate without a cache
    return result.to("cpu"), curve


def _arguments(model: Any, plan: FinetunePlan, out: Path, *, on_gpu: bool, has_held: bool) -> TrainingArguments:
    """Return the Trainer's arguments for a plan."""
    devices, micro = int(os.environ.get("WORLD_SIZE", "1")), _micro_batch(model, plan, on_gpu=on_gpu)
    arguments = TrainingArguments(
        output_dir=str(out),
        max_steps=plan.steps,
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=micro,
        eval_strategy="steps" if has_held else "no",
        eval_steps=plan.save_every,
        prediction_loss_only=True,
        label_names=["labels"],
        gradient_accumulation_steps=plan.batch_size // (micro * devices),
        learning_rate=plan.lr,
        weight_decay=plan.weight_decay,
        adam_beta1=0.9,
        adam_beta2=0.95,
        max_grad_norm=plan.clip,
        warmup_steps=max(1, round(plan.warmup_share * plan.steps)),
        lr_scheduler_type="cosine",
        bf16=torch.cuda.is_bf16_supported() if on_gpu else has_fast_bf16(),
        use_cpu=not on_gpu,
        seed=plan.seed,
        save_steps=plan.save_every,
        logging_steps=max(1, plan.steps // 50),
        report_to=[],
        remove_unused_columns=False,
        dataloader_pin_memory=on_gpu,
        disable_tqdm=True,
    )
    if arguments.n_gpu > 1:
        # Trainer would give every GPU of the machine a batch: more samples a step than planned, and many of them twice.
        arguments._n_gpu = 1  # noqa: SLF001 - there is no public way; several GPUs are for torchrun
    return arguments


def last_checkpoint(out: Path) -> Path | None:
    """Return the newest checkpoint whose files all have their recorded sizes; unfinished ones are removed."""
    for folder in sorted(out.glob("checkpoint-*"), key=_step_of, reverse=True):
        try:
            sizes = json.loads((folder / WHOLE).read_text())
            if all((folder / name).stat().st_size == size for name, size in sizes.items()):
                return folder
        except (OSError, ValueError):
            pass
        logger.warning("finetune: %s is not whole; removed, going back one.", folder.name)
        shutil.rmtree(folder)
    return None


class _Trainer(Trainer):
    """Trainer that takes samples in their order, stops at a loss that is no number, and marks whole checkpoints."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return torch.utils.data.SequentialSampler(train_dataset or self.train_dataset)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Take one step; the loss must be finite."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        if not math.isfinite(value := loss.item()):
            raise FinetuneError(
                f"the loss at step {self.state.global_step + 1} is {value}. Lower --lr; the last good checkpoint stays in "
                f"{self.args.output_dir}."
            )
        return loss

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        out = Path(self.args.output_dir)
        folder = out / f"checkpoint-{self.state.global_step}"
        try:
            super()._save_checkpoint(model, trial)
            if self.args.should_save:  # so that the folder is a model that can be tried
                self.train_dataset.source.save_tokenizer(folder, self.model.config)
            sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
            (folder / WHOLE).write_text(json.dumps(sizes))
        except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors wrap a full disk
            shutil.rmtree(folder, ignore_errors=True)
            raise FinetuneError(
                f"{folder} can't be written ({str(error)[:200]}). The last good checkpoint stays. Free space and run "
                "the same command again: it goes on from there."
            ) from error
        for old in sorted(out.glob("checkpoint-*"), key=_step_of)[:-KEPT]:
            shutil.rmtree(old)


class _Best(TrainerCallback):
    """Keeps the trained weights with the lowest loss on held-back samples, and ends training that no longer lowers it.

    All it knows is in the Trainer's history, which each checkpoint holds: a run that goes on decides the same.
    """

    def __init__(self, model: Any, path: Path, patience: int) -> None:
        self.model, self.path, self.patience = model, path, patience

    def is_over(self, history: list[dict[str, float]]) -> bool:
        """Tell whether the last losses brought no new best one."""
        losses = [row["eval_loss"] for row in history if "eval_loss" in row]
        return len(losses) > self.patience and min(losses[-self.patience :]) >= min(losses[: -self.patience])

    def on_evaluate(self, _arguments: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the weights where the loss is a new best one; end where it has long been none."""
        losses = [row["eval_loss"] for row in state.log_history if "eval_loss" in row]
        if losses[-1] <= min(losses) and state.is_world_process_zero:
            weights = {name: value for name, value in self.model.named_parameters() if value.requires_grad}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial = self.path.with_suffix(".partial")
            save_file({name: value.detach().cpu().contiguous() for name, value in weights.items()}, partial)
            partial.replace(self.path)
        if self.is_over(state.log_history):
            control.should_training_stop = True

    def restore(self) -> None:
        """Give the model the kept weights; those it has stay where none were kept."""
        if self.path.is_file():
            kept = load_file(self.path)
            with torch.no_grad():
                for name, value in self.model.named_parameters():
                    if name in kept:
                        value.copy_(kept[name])


class _Bar(TrainerCallback):
    """Shows the steps on a terminal, with the last loss."""

    def __init__(self) -> None:
        self.bar: Any = None

    def on_train_begin(self, _arguments: Any, state: Any, _control: Any, **_: Any) -> None:
        """Begin where the run goes on."""
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc="train", unit="step", disable=None)

    def on_step_end(self, _arguments: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Count the step."""
        self.bar.update(1)

    def on_log(self, _arguments: Any, _state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
        """Show the loss."""
        if logs and "loss" in logs:
            self.bar.set_postfix(loss=str(logs["loss"])[:6], refresh=False)

    def on_train_end(self, _arguments: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Close the bar; what it showed last stays on the screen."""
        self.bar.close()


def _micro_batch(model: Any, plan: FinetunePlan, *, on_gpu: bool) -> int:
    """Return the sequences of a device at a time.

    Raises:
        FinetuneError: the sequences of a step cannot be shared so.
    """
    devices = int(os.environ.get("WORLD_SIZE", "1"))
    is_large = on_gpu and sum(weight.numel() for weight in model.parameters()) >= LARGE_MODEL
    micro = plan.micro_batch or (1 if is_large else max(1, plan.batch_size // devices))
    if plan.batch_size % (micro * devices):
        raise FinetuneError(
            f"{plan.batch_size} sequences a step cannot be shared by {devices} processes with {micro} at a time. "
            "Choose --batch-size as a multiple of both."
        )
    return micro


def _step_of(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def with_lora(model: Any, rank: int, seed: int) -> Any:
    """Return a model whose linear layers, but the last one, have low-rank adapters, which alone are trained.

    Raises:
        FinetuneError: peft is not installed.
    """
    if find_spec("peft") is None:
        raise FinetuneError("--lora needs peft, which is not installed. Run: pip install 'hf-santa[finetune]'")
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)  # LoRA starts from random matrices
    settings = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        # peft knows which layers of an architecture are linear, and leaves the last one out
        target_modules=list(LORA_LAYERS) if model.config.model_type == "gpt_bigcode" else "all-linear",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # peft 0.21 asks by a name that transformers 5.23 warns of.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        return get_peft_model(model, settings)
