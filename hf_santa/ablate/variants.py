"""The report's eight variants, their sizes here, and what the report published of them.

Source: arXiv 2301.03988, tables 5, 6 and 8; the model card's table of branches.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """One model of the report: its branch on the Hub, its data recipe, and the two switches of its training."""

    name: str
    recipe: str
    multi_query: bool
    fim_rate: float
    about: str


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("mha", "base", False, 0.5, "multi-head attention, FIM"),
        Variant("no-fim", "base", True, 0.0, "multi-query attention, no FIM"),
        Variant("fim", "base", True, 0.5, "multi-query attention, FIM: the baseline"),
        Variant("stars", "stars", True, 0.5, "repositories with 5 or more stars"),
        Variant("comments", "comments", True, 0.5, "more than 1 % and less than 80 % comments"),
        Variant("fertility", "fertility", True, 0.5, "many characters per token"),
        Variant("dedup-alt", "near_dedup_alt", True, 0.5, "stronger near-deduplication"),
        Variant("final", "final", True, 0.5, "dedup-alt and comments"),
    )
}
BASELINE = "fim"


@dataclass(frozen=True)
class Scale:
    """A model's shape and budget; `tokens` is what each variant reads."""

    vocab_size: int
    n_embd: int
    n_layer: int
    n_head: int
    seq_len: int
    batch_size: int
    tokens: int
    needs_gpu: bool = False
    micro_batch: int | None = None


SCALES = {
    "tiny": Scale(2048, 96, 3, 4, 192, 8, 300_000),
    "proxy": Scale(49152, 768, 12, 12, 2048, 64, 2_500_000_000, needs_gpu=True, micro_batch=8),
}

LANGUAGES = ("Java", "JavaScript", "Python")
PUBLISHED_PASS = {  # HumanEval pass@100 in LANGUAGES' order, tables 5 and 8; final: table 7, trained twice as long
    "fim": (0.35, 0.33, 0.36),
    "mha": (0.36, 0.37, 0.38),
    "no-fim": (0.37, 0.37, 0.39),
    "stars": (0.30, 0.30, 0.31),
    "comments": (0.35, 0.35, 0.38),
    "dedup-alt": (0.38, 0.37, 0.37),
    "fertility": (0.35, 0.35, 0.36),
    "final": (0.41, 0.47, 0.49),
}
PUBLISHED_INFILL = {  # single-line exact match in LANGUAGES' order, table 6
    "fim": (0.64, 0.61, 0.42),
    "stars": (0.54, 0.57, 0.37),
    "comments": (0.62, 0.59, 0.44),
    "dedup-alt": (0.66, 0.57, 0.45),
    "fertility": (0.67, 0.65, 0.45),
    "final": (0.62, 0.60, 0.44),
}
TABLES = {
    "Table 5 in small: architecture": ("mha", "no-fim", "fim"),
    "Table 6 in small: infilling": ("fim", "stars", "comments", "dedup-alt", "fertility", "final"),
    "Table 8 in small: data filters": ("fim", "stars", "comments", "dedup-alt", "fertility", "final"),
}
