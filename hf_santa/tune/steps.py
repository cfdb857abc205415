"""List the steps of `hf-santa tune`, with what decides the bytes of each."""

from hf_santa.demo.steps import DemoStep

_CHANCE = ("seed",)
_BASE = ("base", "base_digest")
_OF_GAPS = (
    "hf_santa/tune/measuring.py",
    "hf_santa/tune/compare.py",
    "hf_santa/tune/bases.py",
    "hf_santa/tune/samples.py",
    "eval_multipl_e/suite",
    "modeling_santa/draw_santa.py",
    "modeling_santa/prompt_santa.py",
)
TUNE_STEPS = (
    DemoStep(
        "sources",
        "read the sources, filter, redact, remove near-duplicates",
        (),
        ("states", "states.json"),
        ("data_recipes", "hf_santa/tune/holding.py", "hf_santa/tune/sources.py"),
        ("earlier", "later", "keys", "recipe", "languages", *_CHANCE),
    ),
    DemoStep(
        "heldout",
        "hold files and added lines back, and make gaps of them",
        ("sources",),
        ("heldout",),
        ("data_recipes/dedup", "hf_santa/tune/holding.py", "hf_santa/tune/sources.py", "hf_santa/tune/gaps.py"),
        ("heldout", "gaps", *_CHANCE),
    ),
    DemoStep(
        "plan",
        "look at the base, estimate the memory, choose how to train",
        ("heldout",),
        ("plan.json",),
        (
            "hf_santa/tune/training.py",
            "hf_santa/tune/memory.py",
            "hf_santa/tune/samples.py",
            "hf_santa/tune/bases.py",
            "eval_multipl_e/suite/fim_forms.py",
        ),
        (*_BASE, "seq_len", "steps", "epochs", "batch_size", "lora_rank", "memory_bytes", "fim_rate", "line_rate"),
    ),
    DemoStep(
        "before",
        "ask the base for the gaps",
        ("heldout", "plan"),
        ("before.json", "before-latency.json"),
        _OF_GAPS,
        _BASE,
    ),
    DemoStep(
        "baselines",
        "answer the gaps without a model",
        ("heldout",),
        ("baselines.json",),
        ("hf_santa/baselines.py", "hf_santa/tune/measuring.py", "hf_santa/tune/lookup.py", "hf_santa/tune/compare.py"),
    ),
    DemoStep(
        "train",
        "train, and write the model",
        ("heldout", "plan"),
        ("model", "train.json"),
        (
            "modeling_santa",
            "hf_santa/tune/training.py",
            "hf_santa/tune/samples.py",
            "hf_santa/tune/bases.py",
            "hf_santa/finetune/run.py",
            "hf_santa/repositories/write.py",
        ),
        (*_BASE, "batch_size", "lr", "looks", "lora_rank", "fim_rate", "line_rate", *_CHANCE),
    ),
    DemoStep(
        "after",
        "ask the trained model for the gaps",
        ("heldout", "train"),
        ("after.json", "after-latency.json"),
        _OF_GAPS,
    ),
    DemoStep(
        "deliver",
        "write GGUF and settings of editors, and try a server",
        ("heldout", "train"),
        ("editors", "gguf", "serve.json"),
        (
            "hf_santa/tune/delivery.py",
            "hf_santa/repositories/gguf_check.py",
            "modeling_santa/gguf_export.py",
            "modeling_santa/editor_config.py",
        ),
        ("gguf_type", "server"),
    ),
)
