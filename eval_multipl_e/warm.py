"""Keep compilers and interpreters running during an evaluation, so that they start once."""

from types import TracebackType
from typing import Self

from .warm_compilers import WarmCompilers
from .warm_interpreters import WarmInterpreters


class Warm:
    """Both kinds, started when they are first needed; closing ends them."""

    def __init__(self, way: str) -> None:
        self.compilers = WarmCompilers(way)
        self.interpreters = WarmInterpreters(way)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.compilers.close()
        self.interpreters.close()
