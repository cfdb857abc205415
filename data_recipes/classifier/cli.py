"""`hf-santa data classifier`: train a classifier of quality from labels, look at one, and score files with it."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def add_classifier_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands of `data classifier` to its parser."""
    commands = parser.add_subparsers(dest="classifier_command", required=True, metavar="COMMAND")
    train = commands.add_parser("train", help="learn from labelled files", allow_abbrev=False)
    train.add_argument(
        "labels",
        metavar="LABELS",
        nargs="+",
        help="parquet files or JSON lines with a label and the content, or the hexsha of a row of --source",
    )
    train.add_argument("out", metavar="OUT", help="file to write, for example quality.safetensors")
    train.add_argument(
        "--source",
        metavar="SOURCE",
        action="append",
        default=[],
        help="rows that labels name by hexsha; may be repeated",
    )
    train.add_argument("--label", metavar="NAME", help="column of the label (default: label, or else score)")
    train.add_argument("--column", metavar="NAME", default="content", help="column of the text (default: content)")
    train.add_argument(
        "--group",
        metavar="NAME",
        default="repo",
        help="column whose equal values are held out together (default: repo)",
    )
    train.add_argument("--at-least", metavar="X", type=float, help="labels that are numbers are good from this one on")
    train.add_argument(
        "--good", metavar="NAME", action="append", default=[], help="a label that is good, of texts; may be repeated"
    )
    train.add_argument("--seed", type=int, metavar="N", default=0, help="seed of the order of learning (default: 0)")
    train.set_defaults(func=_train)
    info = commands.add_parser("info", help="show what a classifier learned from, and how well", allow_abbrev=False)
    info.add_argument("classifier", metavar="FILE", help="what `data classifier train` wrote")
    info.set_defaults(func=_info)
    score = commands.add_parser("score", help="show the scores of files, the best first", allow_abbrev=False)
    score.add_argument("classifier", metavar="FILE", help="what `data classifier train` wrote")
    score.add_argument("source", metavar="SOURCE", nargs="+", help="any source of `data rows`")
    score.add_argument("--ends", metavar="N", type=int, help="show so many of the best and of the worst alone")
    score.set_defaults(func=_score)
    for each in (train, info, score):
        each.add_argument(
            "--json", action="store_true", help="print the result as JSON, and nothing else on standard output"
        )


def _train(args: argparse.Namespace) -> int:
    from data_recipes.classifier.labels import LabelColumns, read_labels
    from data_recipes.classifier.train import train_classifier

    labelled = read_labels(args.labels, args.source, LabelColumns(args.label, args.column, args.group))
    made = train_classifier(labelled, at_least=args.at_least, good=args.good, seed=args.seed)
    digest = made.save(args.out)
    _show({"out": args.out, "sha256": digest, **made.about}, args.json)
    return 0


def _info(args: argparse.Namespace) -> int:
    from data_recipes.classifier.model import load_classifier
    from data_recipes.disk.files import checksum

    found = load_classifier(args.classifier)
    _show({"out": args.classifier, "sha256": checksum(Path(args.classifier)), **found.about}, args.json)
    return 0


def _show(about: Mapping[str, Any], is_json: bool) -> None:
    if is_json:
        print(json.dumps(about, ensure_ascii=False, indent=2))
        return
    held = about["held_out"]
    print(f"{about['out']}: learned from {about['files'] - held['files']:,} files; digest {about['sha256'][:12]}")
    print(
        f"Held out: {held['files']:,} files, {held['good']:,} good. Accuracy {held['accuracy']:.1%} (always the commoner: "
        f"{held['majority']:.1%}), AUC {held['auc']:.3f}"
    )
    print("min_quality  kept    precision  recall")
    for row in held["thresholds"]:
        print(f"{row['min_quality']:<11}  {row['kept']:<6.1%}  {row['precision']:<9.1%}  {row['recall']:.1%}")


def _score(args: argparse.Namespace) -> int:
    from data_recipes.classifier.model import load_classifier
    from data_recipes.sources.opening import opened
    from data_recipes.sources.row import MAX_FILE_BYTES, Row

    model = load_classifier(args.classifier)
    found = list[tuple[float, str]]()
    with opened(args.source, limits=None, max_file_bytes=MAX_FILE_BYTES) as source:
        rows = (row for row in source.read() if isinstance(row, Row))
        found.extend((round(float(model.scores([row.content])[0]), 4), row.path) for row in rows)
    found.sort(key=lambda item: (-item[0], item[1]))
    if args.ends is not None and len(found) > 2 * args.ends:
        found = found[: args.ends] + found[len(found) - args.ends :]
    if args.json:
        print(json.dumps([{"score": score, "path": path} for score, path in found], ensure_ascii=False, indent=2))
        return 0
    for score, path in found:
        print(f"{score:.4f}  {path}")
    return 0
