"""Lend the model's way to draw tokens and cut prompts to the evaluation."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eval_multipl_e.suite.model import Sampling


def model_sampling() -> "Sampling":
    """Return the model's own draws and truncation, as the evaluation takes them."""
    from eval_multipl_e.suite.model import Sampling
    from modeling_santa.draw_santa import Draw
    from modeling_santa.prompt_santa import fit

    return Sampling(draw=Draw, fit=fit)
