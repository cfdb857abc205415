"""Let `load_dataset("santa_stack", RECIPE, data_files=…)` apply a recipe to your own Stack files.

`register()` makes `load_dataset("santa_stack", "java-base", data_files=…)` work; without it, `SantaStack` is used as
any builder: `SantaStack(config_name="java-base", data_files=…).download_and_prepare()`.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import field, fields, make_dataclass
from pathlib import Path
from typing import Any, ClassVar

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.builder import Key

from data_recipes.classifier.model import classifier_file
from data_recipes.disk.files import checksum
from data_recipes.disk.markers import code_digest, digest
from data_recipes.errors import DataError
from data_recipes.filters.fertility import tokenizer_file
from data_recipes.filters.permissions import Permissions
from data_recipes.pipeline import run
from data_recipes.recipes import RECIPES
from data_recipes.settings import RunSettings

_BATCH_ROWS = 1000


_OF_THE_CONFIG = (
    "recipe",
    "permissions",
    "shard_bytes",
    "max_file_bytes",
    "keep_work",
)  # its name, and what is set otherwise
_SETTINGS = [item for item in fields(RunSettings) if item.name not in _OF_THE_CONFIG]


def _config_id(self: Any, config_kwargs: dict[str, Any], custom_features: Any = None) -> str:
    """Name the cache by what the files hold, too: datasets takes a list's path and a data file's seconds alone."""
    given = [
        self.opt_outs,
        self.licenses,
        self.tokenizer,
        self.classifier,
        self.key_file,
        self.rules,
        *(self.benchmarks or ()),
    ]
    named = [item for item in given if isinstance(item, str | os.PathLike)]
    lists = {str(item): checksum(Path(item)) for item in named if Path(item).is_file()}
    files = {str(file) for found in (self.data_files or {}).values() for file in found if Path(file).is_file()}
    states = [(file, (state := Path(file).stat()).st_size, state.st_mtime_ns, state.st_ino) for file in sorted(files)]
    of_the_files = {"content": digest([lists, states])} if lists or states else {}
    made: str = datasets.BuilderConfig.create_config_id(self, {**config_kwargs, **of_the_files}, custom_features)
    return made


SantaStackConfig = make_dataclass(
    "SantaStackConfig",
    [
        *((item.name, Any, field(default=item.default)) for item in _SETTINGS),
        ("opt_outs", Any, field(default=())),
        ("licenses", Any, field(default=None)),
        ("keep_unlicensed", bool, field(default=False)),
    ],
    bases=(datasets.BuilderConfig,),
    namespace={
        "__doc__": """What a recipe is applied to, and how; the name is `recipe` or `language-recipe`.

    The fields are the settings of a run (`RunSettings`) and the lists `opt_outs` and `licenses`, each a list of names
    or a text file.
    """,
        "__module__": __name__,
        "create_config_id": _config_id,
    },
)


class SantaStack(datasets.ArrowBasedBuilder):
    """Source files in The Stack's layouts, as a recipe leaves them: the same rows as the store that `run` writes.

    The recipe is run once over all files, into the datasets cache (near-duplicates are a matter of all files
    together); loading and streaming read what it wrote.
    """

    BUILDER_CONFIG_CLASS = SantaStackConfig
    BUILDER_CONFIGS: ClassVar[list[datasets.BuilderConfig]] = [
        SantaStackConfig(name=prefix + recipe.name, description=recipe.summary)
        for recipe in RECIPES.values()
        for prefix in ("", "java-", "javascript-", "python-")
    ]
    DEFAULT_CONFIG_NAME = "near_dedup_verified"

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(description=f"Source code by the recipe {self.config.name} of hf-santa")

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        if not self.config.data_files:
            raise DataError(
                f"santa_stack: config {self.config.name!r} needs data_files. "
                "Pass data_files=… or data_dir=… with parquet files in a layout of The Stack."
            )
        splits = []
        for split, files in self.config.data_files.items():
            if other := next((str(file) for file in files if not str(file).endswith(".parquet")), None):
                # Without data_files, datasets hands over every file below the current folder.
                raise DataError(
                    f"santa_stack: {other} is no parquet file. Pass data_files='….parquet' in a layout of The Stack."
                )
            local = [Path(path) for path in _downloaded(dl_manager, list(files))]
            shards = self._recipe_shards(str(split), local)
            splits.append(datasets.SplitGenerator(name=split, gen_kwargs={"files": shards}))
        return splits

    def _recipe_shards(self, split: str, files: Sequence[Path]) -> list[str]:
        """Run the recipe over the files of a split, once; the parquet files of the store that belong to the config."""
        name, config = self.config.name.rpartition("-")[2], self.config
        sums = [checksum(file) for file in files]
        permissions = Permissions(config.opt_outs, config.licenses, config.keep_unlicensed)
        given = {item.name: getattr(config, item.name) for item in _SETTINGS}
        settings = RunSettings(recipe=name, permissions=permissions, **given)
        tokenizer = checksum(tokenizer_file(config.tokenizer)) if config.tokenizer else None
        classifier = checksum(classifier_file(config.classifier)) if config.classifier else None
        about = [
            settings.redaction_key().check(),
            settings.redaction(),
            settings.compat,
            list(settings.filters),
            [str(item) for item in settings.benchmarks],
        ]
        key = digest([code_digest(), sums, name, split, permissions.settings(), *about, tokenizer, classifier])
        store = Path(self._cache_dir_root) / "santa_stack_stores" / key
        source = store / ".source"
        source.mkdir(parents=True, exist_ok=True)
        for number, file in enumerate(files):
            link = source / f"{number:05d}.parquet"
            if not link.is_symlink():
                link.symlink_to(file.resolve())
        funnel = run(source, store, settings=settings)
        entry = next((entry for entry in funnel["configs"] if entry["config_name"] == self.config.name), None)
        if entry is None:
            read = funnel["totals"]["stages"][0]["files"]
            raise DataError(
                f"santa_stack: {config.name} keeps none of {read} files; {store / 'rejects'} says why for each."
            )
        return [str(path) for path in sorted(store.glob(entry["data_files"][0]["path"]))]

    def _generate_shards(self, files: list[str]) -> Iterator[str]:
        yield from files

    def _generate_tables(self, files: list[str]) -> Iterator[tuple[Key, pa.Table]]:
        """The rows of the recipe, shard by shard."""
        for shard, file in enumerate(files):
            # Not read_table: streaming replaces it by one that leaves its file open.
            with pq.ParquetFile(file) as opened:
                for number, batch in enumerate(opened.iter_batches(_BATCH_ROWS)):
                    yield Key(shard, number), pa.Table.from_batches([batch])


def _downloaded(dl_manager: Any, files: list[str]) -> list[str]:
    """Local copies of the files; a streaming manager would give addresses, and the recipe reads its files twice."""
    if dl_manager.is_streaming:
        dl_manager = datasets.DownloadManager(download_config=dl_manager.download_config)
    return list(dl_manager.download(files))


def register() -> None:
    """Make the name `santa_stack` known to `load_dataset`, in this process.

    datasets has no public way for it: the name is put into its table of packaged builders. Where that table is not as
    expected, this raises `DataError` and names the public way, `SantaStack`.
    """
    from datasets import packaged_modules

    table = getattr(packaged_modules, "_PACKAGED_DATASETS_MODULES", None)
    if not isinstance(table, dict) or not all(isinstance(entry, tuple) and len(entry) == 2 for entry in table.values()):
        raise DataError(
            f"register: datasets {datasets.__version__} keeps its builders in another way than 5.2 does. Use "
            "data_recipes.SantaStack(config_name=…, data_files=…) in place of load_dataset('santa_stack', …)."
        )
    table["santa_stack"] = (__name__, hashlib.sha256(code_digest().encode()).hexdigest())
