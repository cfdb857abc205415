"""Offer our rules as presidio recognizers; they need no language model and no network.

presidio's own recognizers over-capture in code (`author='a@b.co'` from `author` on), take slices, scopes and version
numbers for addresses, and know no keys; the rules for code are in `email_rules`, `ip_rules` and `rules/*.toml`. The
recognizers of an engine share one scan of the text.
"""

from collections.abc import Sequence

from presidio_analyzer import EntityRecognizer, RecognizerRegistry, RecognizerResult
from presidio_analyzer.nlp_engine import NlpArtifacts

from data_recipes.errors import DataError
from data_recipes.pii.find import scan
from data_recipes.pii.finding import DEFAULT_TYPES, TYPES, Span
from data_recipes.pii.key_engine import KeyEngine, key_engine
from data_recipes.pii.key_rules import Rule

RULE_KEY = "rule"
"""Where a result's `recognition_metadata` names the rule that found it."""


class CodeRecognizer(EntityRecognizer):  # type: ignore[misc] # presidio ships no types
    """Finds one type of personal data in source code, exactly delimited; `engine` holds the rules for keys."""

    def __init__(self, entity: str, engine: KeyEngine | None = None) -> None:
        self._entity, self._engine = entity, engine
        super().__init__(supported_entities=[entity], name=f"Code_{entity}", supported_language="en")

    def load(self) -> None:
        """Load nothing: the rules need no model."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts) -> list[RecognizerResult]:
        """Return the entity's results in a text; `nlp_artifacts` is not used."""
        del nlp_artifacts
        if self._entity not in entities:
            return []
        return [self._result(span) for span in scan(text, self._engine).spans(self._entity)]

    def _result(self, span: Span) -> RecognizerResult:
        metadata = {
            RecognizerResult.RECOGNIZER_NAME_KEY: self.name,
            RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
            RULE_KEY: span.rule,
        }
        return RecognizerResult(self._entity, span.start, span.end, 1.0, recognition_metadata=metadata)


def pii_registry(
    types: Sequence[str] = DEFAULT_TYPES, *, rules: Sequence[Rule] | None = None, backend: str | None = None
) -> RecognizerRegistry:
    """Return a presidio registry of our recognizers for source code, for any `AnalyzerEngine`.

    `types` may name PASSWORD and USERNAME too. `rules` are those of `load_rules` in place of this package's, and
    `backend` is one of `hyperscan`, `re2` and `re`, by default the fastest that is installed; all find the same.

    >>> sorted(pii_registry().get_supported_entities())
    ['EMAIL_ADDRESS', 'IP_ADDRESS', 'KEY']
    """
    if unknown := [name for name in types if name not in TYPES]:
        raise DataError(f"pii_registry: type {unknown[0]!r} is not available. Types: {', '.join(TYPES)}.")
    engine = KeyEngine(rules, backend) if rules is not None else key_engine(backend)
    return RecognizerRegistry(recognizers=[CodeRecognizer(kind, engine) for kind in types], supported_languages=["en"])
