"""The page of all commands, from the parsers."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from generate_markdown import anchor, page, sentence, table


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
    if action.choices is not None and action.metavar is not None and str(list(action.choices)[-1]) not in text:
        text += f" (one of {', '.join(map(str, action.choices))})"
    return ("**Required.** " if action.required and action.option_strings else "") + sentence(text)


def _command_section(command: Command) -> str:
    depth = command.parser.prog.count(" ")
    parts = [f"{'#' * min(depth + 1, 4)} `{command.parser.prog}`" if depth else ""]
    parts.append(sentence(command.parser.description or command.about))
    if command.children:
        rows = [[f"[`{c.parser.prog}`](#{anchor(c.parser.prog)})", sentence(c.about)] for c in command.children]
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
    return sentence(text)


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
