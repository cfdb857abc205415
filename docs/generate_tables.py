"""The pages of recipes, languages, environment variables and errors."""

import ast
from collections.abc import Mapping
from typing import Any

from generate_markdown import page, prose, sentence, table
from generate_python_api import PACKAGES, ROOT

VARIABLES = {
    "HF_SANTA_ENGINE": "`numba` or `numpy`: which engine the data recipes compute with. Left out: numba where it is installed.",
    "HF_SANTA_PII_BACKEND": "`hyperscan`, `re2` or `re`: what searches for keys. Left out: the first of these that is installed. "
    "The finds are the same.",
    "HF_SANTA_CACHE": "Folder of this package's caches. Left out: `hf-santa` in the user's cache folder (`$XDG_CACHE_HOME` or "
    "`~/.cache`). It may be deleted at any time.",
    "HF_SANTA_RETRY_WAIT_S": "Seconds that `hf-santa publish` waits before the second try; each further wait is longer (default 1).",
    "HF_SANTA_EVAL_CACHE": "Folder for what the metric prepares for a toolchain. Left out: `$XDG_CACHE_HOME/hf-santa/eval`, "
    "or `~/.cache/hf-santa/eval`.",
    "HF_SANTA_JAVATUPLES_JAR": "Path of `javatuples.jar`, which Java's problems need. Left out: where Debian puts it.",
    "HF_SANTA_MODEL": "The Space: a model folder, or the name of a model repository on the Hub.",
    "HF_SANTA_REVISION": "The Space: the full 40-digit commit of that repository. Required, since the repository's code is run.",
    "HF_SANTA_ALLOW_FLOATING": "The Space: `1` accepts a branch, a tag or no revision in place of a commit.",
    "HF_SANTA_INDEX": "The Space: a file that `hf-santa data index` wrote, with which output that is in the training data is marked.",
    "HF_SANTA_MCP": "The Space: `1` offers the two endpoints as MCP tools, too.",
    "HF_SANTA_CONCURRENCY": "The Space: how many requests run at the same time (default 1); 20 more may wait.",
    "HF_SANTA_LLAMA_SERVER": "Path of the `llama-server` that compares a staged GGUF file with its weights. Left out: the one on PATH.",
    "HF_SANTA_NO_SKIPS": "Tests: any value makes a skipped test a failed one. `.ci/run` sets it.",
}
INTERNAL = {"HF_SANTA_SCRIPT", "HF_SANTA_WAITS"}  # between the metric and the interpreters that it keeps warm
FOREIGN = {
    "HF_ALLOW_CODE_EVAL": "`1` accepts that programs written by a model are built and run. The metric refuses to run without it.",
    "HF_TOKEN": "Token of the Hugging Face Hub for `hf-santa publish`. Left out: the token of `hf auth login`.",
    "HF_HOME": "Folder of Hugging Face's caches.",
    "HF_HUB_OFFLINE": "`1` keeps the Hugging Face libraries off the network.",
    "OPENAI_API_KEY": "`hf-santa eval complete --base-url`: the key that is sent to the server.",
    "GRADIO_SERVER_NAME": "The Space: address to listen on (default 127.0.0.1).",
    "GRADIO_SERVER_PORT": "The Space: port to listen on (default 7860).",
    "GOMP_SPINCOUNT": "How often torch's threads look before they sleep while they wait. Left out: the commands and the Space set 1000, which serves quiet and busy machines.",
    "OMP_WAIT_POLICY": "How they wait, `active` or `passive`; where it is set, the commands leave the number above alone.",
    "OMP_NUM_THREADS": "torch's number of threads. Left out: one a processor, or what a container's quota leaves.",
    "JAVA_HOME": "The demo also reads the sources of this JDK.",
}
EXIT_CODES = {
    0: "The command did what it was asked for.",
    1: "A check found something: `data redact --check` found personal data, `card` a fault, "
    "`data explain` no such file.",
    2: "Something that you can change: an unknown name, a missing file, a setting out of range, a full disk.",
    3: "The result is incomplete: a toolchain is missing, so a language is not in the score; or training stopped early.",
    70: "A fault of hf-santa. It prints a traceback without being asked, and says so; please report it.",
    130: "Stopped by Ctrl-C. The same command goes on from there.",
    141: "The program that read the output closed it, as `head` does.",
}


def recipes_page() -> str:
    """Return the recipes and what each of their steps keeps."""
    from data_recipes import RECIPES
    from data_recipes.dedup import MODES
    from data_recipes.filters import filters
    from hf_santa.demo.steps import STEPS

    recipes = [[f"`{r.name}`", r.summary, ", ".join(r.steps) or "none", r.source] for r in RECIPES.values()]
    modes = []
    for name, mode in MODES.items():
        bands, rows = mode.layout()
        shingle = "distinct tokens" if mode.ngram == 1 else f"{mode.ngram}-grams of tokens"
        modes.append(
            [f"`{name}`", shingle, str(mode.threshold), f"{bands} x {rows}", "yes" if mode.is_verified else "no"]
        )
    stages = {"base": "always", "store": "with `--filter`", "recipe": "by its recipe"}
    rules = [
        [
            f"`{each.name}`",
            each.summary,
            stages[each.stage],
            _numbers(each.thresholds),
            _numbers(each.bigcode),
            each.source,
        ]
        for each in filters().values()
    ]
    steps = [
        [f"`{s.name}`", sentence(s.about), ", ".join(s.needs), ", ".join(f"`{o}`" for o in s.outputs)] for s in STEPS
    ]
    return page(
        "Recipes",
        "A recipe is a named choice of rows. `hf-santa data run SOURCE OUT --recipe NAME` writes a store with one or several of "
        "them, `--recipe all` every one for which the source has what it needs. `load_dataset(OUT, NAME)` reads one, and "
        "`load_dataset(OUT, 'python-NAME')` one of a single language. On your own Stack files, without a store: "
        '`data_recipes.register()`, then `load_dataset("santa_stack", NAME, data_files=…)`.',
        table(["name", "what it keeps", "steps after base", "source"], recipes),
        "## Filters",
        "What a filter that is applied *always* or with `--filter` drops is not in the store; what a recipe's filter drops stays "
        "there, outside of that recipe. The column `bigcode` has thresholds that differ under `--compat bigcode`. A filter is one "
        "file in `data_recipes/filters/rules/`: [contributing](../contributing.md) says how to write one.",
        table(["name", "what it keeps", "applied", "thresholds", "bigcode", "source"], rules),
        "## Near-deduplication",
        "All three modes use 256 MinHash permutations. Two files become candidates when they agree in all rows of one band. "
        "*Verified* means that a file is removed only if its true Jaccard similarity with a kept file reaches the threshold. "
        "More: [near-deduplication](../guides/near-dedup.md).",
        table(["mode", "shingles", "threshold", "bands x rows", "verified"], modes),
        "## Steps of the demo",
        "`hf-santa demo --only NAME` runs a step and what it needs.",
        table(["step", "what it does", "needs", "writes"], steps),
    )


def _numbers(thresholds: Mapping[str, Any]) -> str:
    """Thresholds in words: `min_stars` 5."""
    found = []
    for name, value in thresholds.items():
        shown = (
            ", ".join(f"{key} {each:g}" for key, each in value.items()) if isinstance(value, Mapping) else f"{value:g}"
        )
        found.append(f"`{name}` {shown}")
    return "; ".join(found)


def languages_page() -> str:
    """Return the languages of the metric and of the filters."""
    from data_recipes.filters import find_filter
    from data_recipes.filters.comments import known_languages
    from eval_multipl_e import LANGUAGES

    commented = known_languages()
    known = find_filter("fertility").thresholds["min_chars_per_token"]
    rows = [
        [f"`{x.code}`", x.name, f"{x.run_timeout_s:g}", "yes" if x.is_run_here else "no", f"`{x.install}`" if x.install.count(":") == 0 else x.install]
        for x in LANGUAGES.values()
    ]  # fmt: skip
    return page(
        "Languages",
        "## Of the metric",
        "The code is MultiPL-E's; it is what `languages=` and `--task humaneval-CODE` take. `hf-santa eval doctor` shows which of "
        "these toolchains a machine has. *Run* says whether the language was run in this project's tests; the others are written "
        "by MultiPL-E's rules and were not.",
        table(["code", "language", "time limit, s", "run", "install (Debian)"], rows),
        "## Of the data recipes",
        "Rows of every language go through the base filter, redaction, decontamination and near-deduplication. Two filters know "
        f"only some: `fertility` has thresholds for {', '.join(known)} (a [recipe](../guides/own-recipe.md) may give others), "
        f"`comments` lexers for {len(commented)} languages, named as GitHub Linguist names them. What a step can't measure is "
        "outside of its recipes; `funnel.json`, the card and `data stats` say how many files of which language.",
        "Python, Java and JavaScript (and TypeScript, TSX, JSX) have lexers of their own, which follow the report's code; the "
        "others are read by one table of marks: line, block and nested comments, strings, raw strings, here-documents.",
        ", ".join(f"`{name}`" for name in commented),
    )


def variables_page() -> str:
    """Return the environment variables."""
    return page(
        "Environment variables",
        "## Of this project",
        table(["variable", "meaning"], [[f"`{name}`", said] for name, said in VARIABLES.items()]),
        "## Of others, where they matter here",
        table(["variable", "meaning"], [[f"`{name}`", said] for name, said in FOREIGN.items()]),
        "The Hugging Face libraries have more; nothing here changes their meaning.",
    )


def error_classes() -> list[tuple[str, ast.ClassDef]]:
    """Return the error classes of the packages with their modules."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for node in ast.parse(path.read_text()).body:
                is_error = isinstance(node, ast.ClassDef) and any("Error" in ast.unparse(base) for base in node.bases)
                if is_error and not node.name.startswith("_"):
                    found.append((name, node))
    return found


def _exit_codes(classes: list[tuple[str, ast.ClassDef]]) -> dict[str, str]:
    """The exit code of each class: its own, or that of the first base that has one; 2 where none has."""
    own: dict[str, str] = {}
    bases = {node.name: [ast.unparse(base) for base in node.bases] for _, node in classes}
    for _, node in classes:
        for item in node.body:
            target = item.target if isinstance(item, ast.AnnAssign) else getattr(item, "targets", [None])[0]
            if isinstance(target, ast.Name) and target.id == "exit_code" and item.value is not None:  # type: ignore[attr-defined]
                own[node.name] = ast.unparse(item.value)  # type: ignore[attr-defined]

    def code(name: str) -> str | None:
        if name in own and own[name].endswith(".exit_code"):
            return code(own[name].removesuffix(".exit_code"))
        found = [own[name]] if name in own else [code(base) for base in bases.get(name, ())]
        return next((each for each in found if each and each != "2"), None)

    return {node.name: code(node.name) or "2" for _, node in classes}


def errors_page() -> str:
    """Return the exit codes and the error classes."""
    classes = error_classes()
    codes = _exit_codes(classes)
    rows = []
    for module, node in classes:
        said = prose((ast.get_docstring(node) or "").split("\n\n")[0])
        bases = ", ".join(f"`{ast.unparse(base)}`" for base in node.bases)
        rows.append([f"`{node.name}`", f"`{module}`", bases, f"`{codes[node.name]}`", said])
    return page(
        "Errors and exit codes",
        "A command that fails writes one line to standard error, `hf-santa COMMAND: message`, and ends with one of these codes. "
        "The message says what was seen, what was expected and what to do. `--debug` shows the traceback as well.",
        table(["exit code", "meaning"], [[f"`{code}`", said] for code, said in EXIT_CODES.items()]),
        "Results go to standard output, progress and warnings to standard error (`-q` leaves progress out, `-v` says more). With "
        "`--json`, standard output holds JSON and nothing else. A command that was killed, at whatever point, can be given again: "
        "it goes on from what is whole.",
        "## In a program",
        "Library functions print nothing. They raise the classes below, and log to `hf_santa.data`, `hf_santa.model`, `hf_santa.eval`, "
        "`hf_santa.release` and `hf_santa.demo`:",
        "```python\nimport logging\n\nlogging.basicConfig(level=logging.WARNING)\n"
        'logging.getLogger("hf_santa").setLevel(logging.INFO)\n```',
        "Every error that a user can cause is the base class of its package or derives from it, so `except DataError` catches "
        "all of the data recipes' own. Anything else is a fault of hf-santa.",
        table(["class", "module", "derives from", "exit code", "when"], rows),
    )
