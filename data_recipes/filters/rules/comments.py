"""The report's comment filter: more than 1 % and less than 80 % of a file is comments and docstrings."""

from collections.abc import Sequence

from data_recipes.filters.filter import Drop, Filter, Histogram, Measuring, Record, Thresholds


def keep(record: Record, thresholds: Thresholds) -> Drop | None:
    """Drop files with hardly any comments, and files of little else. Without a lexer a language has no share."""
    share, least, most = record.get("comment_share"), thresholds["min_comment_share"], thresholds["max_comment_share"]
    if share is None:
        return Drop("comments_unknown", f"no lexer for {record['lang']!r}")
    if share <= least:
        return Drop("few_comments", f"{share:.4g} <= {least}")
    if share >= most:
        return Drop("many_comments", f"{share:.4g} >= {most}")
    return None


def measure(texts: Sequence[str], langs: Sequence[str], use: Measuring) -> list[float | None]:
    """Return the share of each text's characters that is comments and docstrings; None for a language without a lexer."""
    from data_recipes.filters.comments import COMMENT_LANGUAGES, comment_shares
    from data_recipes.filters.comments_oracle import comment_share_reference

    if use.compat == "bigcode":
        known = [lang in COMMENT_LANGUAGES for lang in langs]
        others = measure(
            texts,
            ["" if of_the_report else lang for of_the_report, lang in zip(known, langs, strict=True)],
            Measuring(),
        )
        rows = zip(known, texts, langs, others, strict=True)
        return [
            comment_share_reference(text, lang) if of_the_report else other for of_the_report, text, lang, other in rows
        ]
    shares = comment_shares(texts, langs, use.threads).tolist()
    return [share if share == share else None for share in shares]  # noqa: PLR0124 -- NaN is unequal to itself


FILTER = Filter(
    name="comments",
    summary="Base files of which more than 1 % and less than 80 % is comments and docstrings.",
    source="report, section 5.3",
    position=20,
    keep=keep,
    columns=("lang", "comment_share"),
    thresholds={"min_comment_share": 0.01, "max_comment_share": 0.8},
    measures="comment_share",
    about="share of the characters that is comments and docstrings",
    measure=measure,
    histograms=(
        Histogram(
            "comment_share",
            "Share of comments",
            [0.0, 0.01, *(round(0.05 * n, 2) for n in range(1, 21))],
            ("min_comment_share", "max_comment_share"),
        ),
    ),
)
