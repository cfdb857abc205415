"""Define the commands `hf-santa tokenizer`: train, pack and info."""

import argparse
import json
import logging
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from modeling_santa.errors_santa import ModelError
from modeling_santa.json_files import read_object

logger = logging.getLogger("hf_santa.model")


def add_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `tokenizer` and its commands to the command line."""
    parser = subparsers.add_parser("tokenizer", help="train a tokenizer, and pack a corpus with it")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    train = commands.add_parser(
        "train", help="train a byte-level BPE with single digits and SantaCoder's special tokens"
    )
    _add_source(train)
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write tokenizer.json to")
    train.add_argument(
        "--vocab-size", type=int, default=49152, metavar="N", help="tokens to learn, the five special ones not counted"
    )
    train.add_argument(
        "--limit-mb", type=float, metavar="MB", help="learn from about so many MB, drawn from the whole text"
    )
    train.add_argument("--seed", type=int, default=0, help="seed of the draw for --limit-mb (default: 0)")
    train.add_argument("--n-positions", type=int, default=2048, metavar="N", help="longest input (default: 2048)")
    _add_json(train)
    train.set_defaults(func=_in_one_line("train", _train))
    pack = commands.add_parser("pack", help="encode a corpus into shards; a killed run goes on where it was")
    _add_source(pack)
    pack.add_argument("--tokenizer", type=Path, required=True, metavar="DIR", help="tokenizer.json or its folder")
    pack.add_argument("--out", type=Path, required=True, metavar="DIR", help="corpus folder to write or go on with")
    pack.add_argument(
        "--by-repository",
        choices=("path", "imports"),
        help="make one document of the files of a repository, by path or each behind those that it imports (default: a document "
        "a file)",
    )
    pack.add_argument("--threads", type=int, metavar="N", help="threads (default: all cores)")
    _add_json(pack)
    pack.set_defaults(func=_in_one_line("pack", _pack))
    info = commands.add_parser("info", help="show a tokenizer folder or a corpus folder, and check it")
    info.add_argument("folder", type=Path, metavar="FOLDER", help="what `tokenizer train` or `tokenizer pack` wrote")
    _add_json(info)
    info.set_defaults(func=_info)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", type=Path, metavar="SOURCE", help="a dataset folder, .parquet or .jsonl files, or a source tree"
    )
    parser.add_argument("--recipe", metavar="NAME", help="a recipe of the store (default: its first)")
    parser.add_argument("--column", default="content", metavar="NAME", help="column of the text (default: content)")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print the result as JSON, and nothing else on standard output"
    )


class _Read:
    """Passes the source's texts on and counts them.

    With a limit the source is read twice: once for its size, then each text is kept by chance, by the seed and its
    number, with the probability limit / size. A source that is sorted by language so gives all of its languages.
    """

    def __init__(self, arguments: argparse.Namespace, limit_mb: float | None = None, seed: int = 0) -> None:
        self.arguments, self.limit_mb, self.seed = arguments, limit_mb, seed
        self.files, self.bytes = 0, 0

    def __iter__(self) -> Iterator[str]:
        from tqdm import tqdm

        share = 1.0
        if self.limit_mb is not None:
            share = self.limit_mb * 1e6 / max(1, sum(map(_size, self._texts())))
        draw = random.Random(self.seed)
        with tqdm(desc="read", unit="B", unit_scale=True, disable=None) as bar:
            for text in self._texts():
                if draw.random() >= share:
                    continue
                size = _size(text)
                self.files += 1
                self.bytes += size
                bar.update(size)
                yield text

    def _texts(self) -> Iterator[str]:
        from modeling_santa.corpus.repositories import repository_documents
        from modeling_santa.corpus.texts import read_files, read_texts

        if order := getattr(self.arguments, "by_repository", None):
            files = read_files(self.arguments.source, recipe=self.arguments.recipe, column=self.arguments.column)
            return repository_documents(files, self.arguments.out, order=order)

        return read_texts(self.arguments.source, recipe=self.arguments.recipe, column=self.arguments.column)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _train(arguments: argparse.Namespace) -> dict[str, Any]:
    from modeling_santa.tokenizer.train import padded_vocab_size, save_tokenizer, train_tokenizer

    if arguments.limit_mb is not None and not arguments.limit_mb > 0:
        raise ModelError(f"--limit-mb {arguments.limit_mb} is no size. Give a number above 0, or leave it out.")
    texts = _Read(arguments, arguments.limit_mb, arguments.seed)
    tokenizer = train_tokenizer(texts, vocab_size=arguments.vocab_size, show_progress=sys.stderr.isatty())
    save_tokenizer(tokenizer, arguments.out, n_positions=arguments.n_positions)
    found = tokenizer.get_vocab_size(with_added_tokens=False)
    if found < arguments.vocab_size:
        logger.info("the text has no more pairs than for %d of %d tokens", found, arguments.vocab_size)
    return {
        "files": texts.files,
        "bytes": texts.bytes,
        "tokens": found,
        "special": 5,
        "padded_vocab_size": padded_vocab_size(tokenizer),
        **({"asked": arguments.vocab_size} if found < arguments.vocab_size else {}),
    }


def _pack(arguments: argparse.Namespace) -> dict[str, Any]:
    from modeling_santa.corpus.shards import pack
    from modeling_santa.tokenizer.encoder import Encoder
    from modeling_santa.tokenizer.train import load_tokenizer

    tokenizer = load_tokenizer(arguments.tokenizer)
    if reason := Encoder(tokenizer).reason:
        print(f"hf-santa tokenizer pack: {reason}; `tokenizers` encodes, several times as long.", file=sys.stderr)
    about = pack(
        _Read(arguments),
        tokenizer,
        arguments.out,
        threads=arguments.threads,
        resume=True,
        recipe=_recipe_of(arguments),
        by_repository=arguments.by_repository,
    )
    per_token = about["text_bytes"] / about["tokens"]
    return {
        "files": about["documents"],
        "bytes": about["text_bytes"],
        "tokens": about["tokens"],
        "shards": about["shards"],
        "bytes_per_token": round(per_token, 3),
    }


def _recipe_of(arguments: argparse.Namespace) -> str | None:
    """Return the recipe whose rows are read: the one asked for, or a store's first; None for plain texts."""
    funnel = arguments.source / "funnel.json"
    if arguments.recipe or not funnel.is_file():
        asked: str | None = arguments.recipe
        return asked
    recipes: list[str] = read_object(funnel, {"recipes": list}, "Run `hf-santa data run` again.")["recipes"]
    return next(iter(recipes), None)


def _info(arguments: argparse.Namespace) -> int:
    """Print what a folder holds, in a line or as JSON."""
    started = time.perf_counter()
    about = _about(arguments.folder)
    if arguments.json:
        print(json.dumps(about, indent=2))
    else:
        line = " ".join(
            f"{name}={value!r}" if name == "encoder" else f"{name}={value}" for name, value in about.items()
        )
        print(f"step=tokenizer_info {line} {time.perf_counter() - started:.1f}s")
    return 0


def _about(folder: Path) -> dict[str, Any]:
    from modeling_santa.corpus.shards import AGAIN, read_tokens
    from modeling_santa.tokenizer.encoder import Encoder
    from modeling_santa.tokenizer.train import load_tokenizer, padded_vocab_size, tokenizer_digest

    if not folder.is_dir():
        raise ModelError(f"there is no folder {folder}. Name one that `tokenizer train` or `tokenizer pack` wrote.")
    if (folder / "tokenizer.json").is_file():
        tokenizer = load_tokenizer(folder)
        size = tokenizer.get_vocab_size(with_added_tokens=True)
        return {
            "tokens": size - 5,
            "special": 5,
            "padded_vocab_size": padded_vocab_size(tokenizer),
            "digest": tokenizer_digest(tokenizer),
            "encoder": Encoder(tokenizer).reason or "compiled",
        }
    tokens = read_tokens(folder)
    about = read_object(folder / "corpus.json", {}, AGAIN)
    return {
        "files": about["documents"],
        "tokens": len(tokens),
        "shards": about["shards"],
        "vocab": about["vocab_size"],
        "tokenizer": about.get("tokenizer_digest"),
        "recipe": about.get("recipe"),
        "is_whole": True,
    }


def _in_one_line(
    command: str, work: Callable[[argparse.Namespace], dict[str, Any]]
) -> Callable[[argparse.Namespace], int]:
    """Return a command that does the work and says in one line, or as JSON, what was done and how long it took."""

    def timed(arguments: argparse.Namespace) -> int:
        started = time.perf_counter()
        about = work(arguments)
        seconds = time.perf_counter() - started
        if arguments.json:
            print(json.dumps({**about, "seconds": round(seconds, 1)}, indent=2))
        else:
            line = " ".join(f"{name}={value}" for name, value in about.items())
            print(f"step=tokenizer_{command} {line} {seconds:.1f}s")
        return 0

    return timed
