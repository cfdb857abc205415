"""The pages of all public names, from signatures and docstrings: a list, and a page for each package."""

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

from generate_markdown import anchor, page, prose, table

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("modeling_santa", "data_recipes", "eval_multipl_e", "hf_santa")


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
        return f"class {node.name}({', '.join(text for text in map(_field, fields) if text)})"
    return f"class {node.name}" + (f"({', '.join(map(ast.unparse, node.bases))})" if node.bases else "")


def _field(item: ast.AnnAssign) -> str:
    """A field of a dataclass as an argument: `field(default_factory=dict)` is `{}`; one that is no argument is left out."""
    declared = f"{ast.unparse(item.target)}: {ast.unparse(item.annotation)}"
    if not (isinstance(item.value, ast.Call) and ast.unparse(item.value.func) == "field"):
        return ast.unparse(item)
    said = {word.arg: ast.unparse(word.value) for word in item.value.keywords}
    if said.get("init") == "False":
        return ""
    if "default_factory" in said:
        made = {"dict": "{}", "list": "[]"}.get(said["default_factory"], f"{said['default_factory']}()")
        return f"{declared} = {made}"
    return f"{declared} = {said['default']}" if "default" in said else declared


def _methods(value: Any) -> str:
    """The public methods that a class defines itself or takes from one of our mixins, with their first lines."""
    if not inspect.isclass(value):
        return ""
    rows = []
    for name, method in sorted(inspect.getmembers(value, inspect.isfunction)):
        home = method.__module__.split(".")[0]
        if not name.startswith("_") and home in PACKAGES and method.__doc__ and name != "forward":
            rows.append([f"`{name}({_taken_by(method)})`", prose(inspect.cleandoc(method.__doc__).split("\n\n")[0])])
    return table(["method", "what it does"], rows) if rows else ""


def _taken_by(method: Any) -> str:
    """The names of a method's arguments as a call spells them.

    >>> _taken_by(lambda self, text, *more, **settings: None)
    'text, *more, **settings'
    """
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    taken = inspect.signature(method).parameters.values()
    return ", ".join(f"{stars.get(each.kind, '')}{each.name}" for each in taken if each.name != "self")


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
    text = re.sub(r"\n\s*# (Differs from the report: .*)", r"\n\n\1", text)  # a line with # would be a heading
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
            parts.append(f"{prose(before)}\n\n```python\n>>> {after}\n```")
        else:
            parts.append(prose(block))
    return "\n\n".join(parts)


def _entries(text: str, *, is_list: bool) -> str:
    entries = re.split(r"\n(?=\S)", text)
    lines = [re.sub(r"\s*\n\s*", " ", entry).strip() for entry in entries]
    if not is_list:
        return prose(" ".join(lines))
    return "\n".join("- " + re.sub(r"^(\*{0,2}[\w.]+)( \([^)]*\))?: ", r"`\1`: ", prose(line)) for line in lines)


def public_packages() -> list[str]:
    """Return the packages with public names, in themselves or in their sub-packages."""
    return list(dict.fromkeys(name.split(".")[0] for name, _ in public_modules()))


def python_api_page() -> str:
    """Return the list of all public names, each linked to its description."""
    about = (
        "The names that other code may build on; all else can change with any release. Importing a package costs next to "
        "nothing: what a name needs (torch, datasets …) is imported when the name is first used. The packages are typed. "
        "Every error that a user can cause derives from the base class of its package, see "
        "[errors and exit codes](errors-and-exit-codes.md)."
    )
    parts = [about]
    for name, module in public_modules():
        rows = []
        for public in module.__all__:
            _, said = _definition(_home(module, public, getattr(module, public)), public)
            link = f"python/{name.split('.')[0]}.md#{anchor(f'{name}-{public}')}"
            rows.append([f"[`{public}`]({link})", prose(" ".join(said.split("\n\n")[0].split()))])
        parts += [f"## {name}", table(["name", "what it is"], rows)]
    return page("Python API", *parts)


def package_page(package: str) -> str:
    """Return every public name of a package and its sub-packages, with its signature and its docstring."""
    parts = []
    seen: dict[str, str] = {}
    for name, module in public_modules():
        if name.split(".")[0] != package:
            continue
        parts.append(f"## {name}")
        parts.append(docstring_markdown(inspect.cleandoc(module.__doc__ or "")))
        for public in module.__all__:
            value = getattr(module, public)
            home = _home(module, public, value)
            key, heading = f"{home}.{public}", f"### {public} {{ #{anchor(f'{name}-{public}')} }}"
            if key in seen:
                first = f"{seen[key]}-{public}"
                parts += [heading, f"The same as [`{seen[key]}.{public}`](#{anchor(first)})."]
                continue
            seen[key] = name
            signature, said = _definition(home, public)
            parts += [heading, f"```python\n{_wrapped(signature)}\n```", docstring_markdown(said), _methods(value)]
    return page(f"Python API: {package}", *parts)


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
