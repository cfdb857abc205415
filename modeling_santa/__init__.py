"""The SantaCoder model: configuration, classes and fill-in-the-middle text.

Nothing heavy is imported until a name is used, and nothing registers with transformers' Auto classes unless
`register()` is called: a registered class would silently win over the code of a remote repository.
"""

from importlib import import_module
from typing import Any

_HOME_OF = {
    "FimTokens": "fim_santa",
    "SantaConfig": "configuration_santa",
    "SantaForCausalLM": "modeling_santa",
    "SantaModel": "modeling_santa",
    "convert_checkpoint": "checkpoints",
    "infill_prompt": "fim_santa",
    "optimize_for_cpu": "cpu_santa",
    "permute": "fim_santa",
}
__all__ = [
    "FimTokens",
    "SantaConfig",
    "SantaForCausalLM",
    "SantaModel",
    "convert_checkpoint",
    "infill_prompt",
    "optimize_for_cpu",
    "permute",
    "register",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def register() -> None:
    """Make the Auto classes build our classes for `model_type: gpt_bigcode` in this process.

    Local training and tests want this; whoever loads a published folder passes `trust_remote_code=True` instead.
    """
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    from modeling_santa.configuration_santa import SantaConfig
    from modeling_santa.modeling_santa import SantaForCausalLM, SantaModel

    AutoConfig.register(SantaConfig.model_type, SantaConfig, exist_ok=True)
    AutoModel.register(SantaConfig, SantaModel, exist_ok=True)
    AutoModelForCausalLM.register(SantaConfig, SantaForCausalLM, exist_ok=True)
