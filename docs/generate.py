"""Write the pages that come from the code, docs/reference/*.md; only file-formats.md is written by hand.

`python docs/generate.py` writes them, `--check` only compares and names the pages that are out of date.
"""

import argparse
import ast
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PACKAGES = ("modeling_santa", "data_recipes", "eval_multipl_e", "hf_santa")
NOTE = "<!-- Written by `make docs` from the code. Change the code, not this page. -->"

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


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )


def page(title: str, *parts: str) -> str:
    """Return a page with its note."""
    return "\n\n".join([f"# {title}", NOTE, *(part.strip("\n") for part in parts if part)]) + "\n"


# Commands


@dataclass(frozen=True)
class Command:
    """A parser, and the word of help that its parent shows for it."""

    parser: argparse.ArgumentParser
    about: str

    @property
    def children(self) -> list["Command"]:
        """The commands below this one, in the order in which they were added."""
        found = []
        for action in self.parser._actions:  # noqa: SLF001  # argparse has no public list
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # nor a public name
                helps = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001
                found += [Command(child, helps.get(name, "")) for name, child in action.choices.items()]
        return found

    @property
    def settings(self) -> list[argparse.Action]:
        """The arguments and flags, without help and sub-commands."""
        kinds = (argparse._HelpAction, argparse._SubParsersAction)  # noqa: SLF001
        return [action for action in self.parser._actions if not isinstance(action, kinds)]  # noqa: SLF001


def walk(command: Command) -> Iterator[Command]:
    """Yield the command and all below it."""
    yield command
    for child in command.children:
        yield from walk(child)


def root_command() -> Command:
    """Return `hf-santa` itself."""
    from hf_santa.cli import build_parser

    parser = build_parser()
    return Command(parser, parser.description or "")


COMMON = ("--quiet", "--verbose", "--debug")


def _is_common(action: argparse.Action) -> bool:
    return any(name in COMMON for name in action.option_strings)


def _shown(action: argparse.Action) -> str:
    """The argument as one types it: `SOURCE`, `--out DIR`, `--lora`."""
    values = [] if action.nargs == 0 else [_value(action)]
    if not action.option_strings:
        return values[0]
    return " ".join([", ".join(action.option_strings), *values])


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, tuple):
        return " ".join(action.metavar)
    if action.choices is not None and action.metavar is None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    name = action.metavar or action.dest.upper()
    return f"{name} …" if action.nargs in {"+", "*"} else name


def _about(action: argparse.Action) -> str:
    text = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
    if action.choices is not None and action.metavar is not None:
        text += f" (one of {', '.join(map(str, action.choices))})"
    return ("**Required.** " if action.required and action.option_strings else "") + _sentence(text)


def _sentence(text: str) -> str:
    text = _prose(text.strip())
    first = text[:1].upper() + text[1:] if text[:1].islower() and not text.startswith(("none ", "auto ")) else text
    return first if not first or first.endswith((".", ")", ":", "…")) else first + "."


def _prose(text: str) -> str:
    """Text for a page: flags and markers stand in code, so that nothing of them is taken for HTML."""
    parts = re.split(r"(`[^`]*`)", re.sub(r"(?<=[a-z]),(?=[a-z])", ", ", text))
    parts[::2] = [
        re.sub(r"(?<![\w`-])(--[a-z][\w-]*|<[^<>\s]+>)", r"`\1`", part).replace("<`<", "`<") for part in parts[::2]
    ]
    return "".join(parts)


def _command_section(command: Command) -> str:
    depth = command.parser.prog.count(" ")
    parts = [f"{'#' * min(depth + 1, 4)} `{command.parser.prog}`" if depth else ""]
    parts.append(_sentence(command.parser.description or command.about))
    if command.children:
        rows = [[f"[`{c.parser.prog}`](#{_anchor(c.parser.prog)})", _sentence(c.about)] for c in command.children]
        parts.append(table(["command", "what it does"], rows))
    own = [action for action in command.settings if not _is_common(action)]
    if own:
        if not command.children:
            words = [command.parser.prog, *(_value(action) for action in own if not action.option_strings), "[flags]"]
            parts.append(f"```text\n{' '.join(words)}\n```")
        parts.append(table(["argument", "meaning"], [[f"`{_shown(a)}`", _about(a)] for a in own]))
    if command.parser.epilog and not command.children:
        parts.append(_epilog(command.parser.epilog))
    return "\n\n".join(part for part in parts if part)


def _epilog(text: str) -> str:
    if text.startswith("example: "):
        return f"Example: `{text.removeprefix('example: ')}`"
    return _sentence(text)


def _anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-")


def commands_page() -> str:
    """Return every command with its arguments."""
    root = root_command()
    leaf = next(command for command in walk(root) if not command.children)
    common = [[f"`{_shown(action)}`", _about(action)] for action in leaf.settings if _is_common(action)]
    about = (
        "Every command and every flag. `hf-santa COMMAND --help` shows the same in a terminal. As an extension of the Hugging "
        "Face command line, the same program is `hf santa`. What a command ends with: "
        "[errors and exit codes](errors-and-exit-codes.md)."
    )
    said = [about]
    if common:
        said += ["These flags work with every command:", table(["flag", "meaning"], common)]
    return page("Commands", *said, *(_command_section(command) for command in walk(root)))


# Python API


def public_modules() -> list[tuple[str, ModuleType]]:
    """Return the packages and sub-packages that have public names."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("__init__.py")):
            name = ".".join(path.parent.relative_to(ROOT).parts)
            module = importlib.import_module(name)
            if getattr(module, "__all__", None):
                found.append((name, module))
    return found


def _home(module: ModuleType, name: str, value: Any) -> str:
    """The module that defines a public name."""
    if inspect.isfunction(value) or inspect.isclass(value):
        return str(value.__module__)
    for known in vars(module).values():  # the table by which a lazy package finds its names
        if isinstance(known, dict) and isinstance(known.get(name), str) and not name.startswith("__"):
            where = known[name].removeprefix(f"{module.__name__}.").lstrip(".")
            return f"{module.__name__}.{where}"
    return module.__name__


def _definition(home: str, name: str) -> tuple[str, str]:
    """The signature and the docstring of a name, as they stand in its module's source."""
    path = ROOT / (home.replace(".", "/") + ".py")
    if not path.is_file():
        path = ROOT / home.replace(".", "/") / "__init__.py"
    body = ast.parse(path.read_text()).body
    for place, node in enumerate(body):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return f"{name}({_arguments(node.args)})" + _returns(node), ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _class_signature(node), ast.get_docstring(node) or ""
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            kind = f": {ast.unparse(node.annotation)}" if isinstance(node, ast.AnnAssign) else ""
            after = body[place + 1] if place + 1 < len(body) else None
            said = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            return f"{name}{kind}", inspect.cleandoc(str(said))
    raise SystemExit(f"docs/generate.py: {home} defines no {name}")


def _arguments(arguments: ast.arguments, *, is_method: bool = False) -> str:
    kept = arguments.args[1:] if is_method else arguments.args
    return ast.unparse(
        ast.arguments(
            posonlyargs=arguments.posonlyargs,
            args=kept,
            vararg=arguments.vararg,
            kwonlyargs=arguments.kwonlyargs,
            kw_defaults=arguments.kw_defaults,
            kwarg=arguments.kwarg,
            defaults=arguments.defaults,
        )
    )


def _returns(node: ast.FunctionDef) -> str:
    return f" -> {ast.unparse(node.returns)}" if node.returns else ""


def _class_signature(node: ast.ClassDef) -> str:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return f"class {node.name}({_arguments(item.args, is_method=True)})"
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    if any("dataclass" in ast.unparse(each) for each in node.decorator_list) and fields:
        return f"class {node.name}({', '.join(map(ast.unparse, fields))})"
    return f"class {node.name}" + (f"({', '.join(map(ast.unparse, node.bases))})" if node.bases else "")


def _methods(value: Any) -> str:
    """The public methods that a class defines itself or takes from one of our mixins, with their first lines."""
    if not inspect.isclass(value):
        return ""
    rows = []
    for name, method in sorted(inspect.getmembers(value, inspect.isfunction)):
        home = method.__module__.split(".")[0]
        if not name.startswith("_") and home in PACKAGES and method.__doc__ and name != "forward":
            names = ", ".join(part for part in inspect.signature(method).parameters if part != "self")
            rows.append([f"`{name}({names})`", _prose(inspect.cleandoc(method.__doc__).split("\n\n")[0])])
    return table(["method", "what it does"], rows) if rows else ""


def docstring_markdown(text: str) -> str:
    r"""Return a Google docstring as Markdown: sections as lists, examples as code.

    >>> print(docstring_markdown("Return one.\n\nArgs:\n    x: a number,\n        any.\n"))
    Return one.
    <BLANKLINE>
    **Args**
    <BLANKLINE>
    - `x`: a number, any.
    """
    parts = []
    for block in re.split(r"\n\s*\n", text.strip()):
        head, _, rest = block.partition("\n")
        if head in {"Args:", "Returns:", "Raises:", "Yields:", "Attributes:"}:
            parts.append(f"**{head[:-1]}**\n\n{_entries(textwrap.dedent(rest), is_list=head != 'Returns:')}")
        elif block.lstrip().startswith(">>>"):
            parts.append(f"```python\n{textwrap.dedent(block)}\n```")
        elif block.lstrip().startswith(("- ", "* ", "|")):
            parts.append(block)
        elif "\n- " in block:
            parts.append(block.replace("\n- ", "\n\n- ", 1))
        elif "\n>>> " in block:
            before, after = block.split("\n>>> ", 1)
            parts.append(f"{_prose(before)}\n\n```python\n>>> {after}\n```")
        else:
            parts.append(_prose(block))
    return "\n\n".join(parts)


def _entries(text: str, *, is_list: bool) -> str:
    entries = re.split(r"\n(?=\S)", text)
    lines = [re.sub(r"\s*\n\s*", " ", entry).strip() for entry in entries]
    if not is_list:
        return _prose(" ".join(lines))
    return "\n".join("- " + re.sub(r"^(\*{0,2}[\w.]+)( \([^)]*\))?: ", r"`\1`: ", _prose(line)) for line in lines)


def python_api_page() -> str:
    """Return every public name with its signature and its docstring."""
    about = (
        "The names that other code may build on; all else can change with any release. Importing a package costs next to "
        "nothing: what a name needs (torch, datasets …) is imported when the name is first used. The packages are typed. "
        "Every error that a user can cause derives from the base class of its package, see "
        "[errors and exit codes](errors-and-exit-codes.md)."
    )
    parts = [about]
    seen: dict[str, str] = {}
    for name, module in public_modules():
        parts.append(f"## {name}")
        parts.append(docstring_markdown(inspect.cleandoc(module.__doc__ or "")))
        for public in module.__all__:
            value = getattr(module, public)
            home = _home(module, public, value)
            key = f"{home}.{public}"
            if key in seen:
                parts.append(f"`{name}.{public}` is [`{seen[key]}.{public}`](#{_anchor(f'{seen[key]}-{public}')}).")
                continue
            seen[key] = name
            signature, said = _definition(home, public)
            parts += [
                f"### {public} {{ #{_anchor(f'{name}-{public}')} }}",
                f"```python\n{_wrapped(signature)}\n```",
                docstring_markdown(said),
                _methods(value),
            ]
    return page("Python API", *parts)


def _wrapped(signature: str) -> str:
    """A long signature, an argument a line."""
    if len(signature) <= 88 or "(" not in signature:
        return signature
    pieces, depth, piece = [], 0, ""
    head, _, rest = signature.partition("(")
    inside, _, tail = rest.rpartition(")")
    for sign in inside:
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and depth == 0:
            pieces.append(piece.strip())
            piece = ""
        else:
            piece += sign
    pieces.append(piece.strip())
    lines = "".join(f"    {each},\n" for each in pieces)
    return f"{head}(\n{lines}){tail}"


# Recipes, languages, variables, errors


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
        [f"`{s.name}`", _sentence(s.about), ", ".join(s.needs), ", ".join(f"`{o}`" for o in s.outputs)] for s in STEPS
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
    from eval_multipl_e import LANGUAGES

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
        f"only some: `comments` has lexers for Python, Java and JavaScript, `fertility` thresholds for {', '.join(known)}.",
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
        said = _prose((ast.get_docstring(node) or "").split("\n\n")[0])
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


PAGES = {
    "reference/commands.md": commands_page,
    "reference/python-api.md": python_api_page,
    "reference/recipes.md": recipes_page,
    "reference/languages.md": languages_page,
    "reference/environment-variables.md": variables_page,
    "reference/errors-and-exit-codes.md": errors_page,
}


def main() -> int:
    """Write the pages, or name those that differ under --check."""
    is_check = "--check" in sys.argv[1:]
    stale = []
    for name, write in PAGES.items():
        path, expected = DOCS / name, write()
        if path.is_file() and path.read_text() == expected:
            continue
        stale.append(name)
        if not is_check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(expected)
    if is_check and stale:
        print(f"out of date: {', '.join(stale)}. Run `make docs`.", file=sys.stderr)
    return 1 if is_check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
