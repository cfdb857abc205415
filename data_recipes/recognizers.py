"""E-mail and IP address recognizers for presidio, on its no-op language engine: no model, no network.

presidio's own recognizers over-capture in code (`author='a@b.co'` from `author` on) and take slices, scopes and
version numbers for addresses; the rules for code are in `pii_rules`.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerRegistry, RecognizerResult
from presidio_analyzer.nlp_engine import NlpArtifacts, NoOpNlpEngine

from data_recipes.pii_rules import Span, email_spans, ip_spans

RULE_KEY = "rule"
"""Where a result's `recognition_metadata` names the rule that found it."""


class SpanRecognizer(EntityRecognizer):  # type: ignore[misc] # presidio ships no types
    """A presidio recognizer of one entity type made from a function that yields spans."""

    def __init__(self, entity: str, spans: Callable[[str], Iterator[Span]]) -> None:
        self._entity, self._spans = entity, spans
        super().__init__(supported_entities=[entity], name=f"Code_{entity}", supported_language="en")

    def load(self) -> None:
        """Nothing is loaded: the rules need no model."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts) -> list[RecognizerResult]:
        """The entity's results in a text; `nlp_artifacts` is not used."""
        del nlp_artifacts
        return [self._result(span) for span in self._spans(text)] if self._entity in entities else []

    def _result(self, span: Span) -> RecognizerResult:
        metadata = {
            RecognizerResult.RECOGNIZER_NAME_KEY: self.name,
            RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
            RULE_KEY: span.rule,
        }
        return RecognizerResult(self._entity, span.start, span.end, 1.0, recognition_metadata=metadata)


class EmailRecognizer(SpanRecognizer):
    """Finds e-mail addresses in source code, exactly delimited."""

    def __init__(self) -> None:
        super().__init__("EMAIL_ADDRESS", email_spans)


class IpAddressRecognizer(SpanRecognizer):
    """Finds public IPv4 and IPv6 addresses in source code."""

    def __init__(self) -> None:
        super().__init__("IP_ADDRESS", ip_spans)


def pii_registry() -> RecognizerRegistry:
    """A presidio registry of the recognizers for source code, to be used with any `AnalyzerEngine`.

    >>> sorted(pii_registry().get_supported_entities())
    ['EMAIL_ADDRESS', 'IP_ADDRESS']
    """
    return RecognizerRegistry(recognizers=[EmailRecognizer(), IpAddressRecognizer()], supported_languages=["en"])


@cache
def _engine() -> tuple[AnalyzerEngine, Any]:
    nlp = NoOpNlpEngine(models=[{"lang_code": "en", "model_name": "no_op"}])
    engine = AnalyzerEngine(registry=pii_registry(), nlp_engine=nlp, supported_languages=["en"])
    return engine, nlp.process_text("", "en")


def analyze(text: str, types: list[str]) -> list[tuple[int, int, str, str]]:
    """(start, end, type, rule) of every find of presidio's engine with this registry, in text order."""
    engine, artifacts = _engine()
    results = engine.analyze(text, language="en", entities=types, nlp_artifacts=artifacts)
    return sorted((r.start, r.end, r.entity_type, r.recognition_metadata[RULE_KEY]) for r in results)
