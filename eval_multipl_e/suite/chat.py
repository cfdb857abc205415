"""Take the program out of a chat model's answer: drop reasoning, unpack fenced code, restore imports."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eval_multipl_e.languages import language_of
from eval_multipl_e.suite.problems import cut_at_stop

_THINKING = re.compile(r"<(think|thinking|reasoning|thought)>.*?(</\1>|\Z)", re.DOTALL)
_FENCE = re.compile(
    r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_BRACES = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|//[^\n]*|/\*.*?\*/|[{}]', re.DOTALL)
_WORD = re.compile(r"[A-Za-z_$][\w$?!-]*")
# Words of a line that declares a function, before its name in most languages.
_DECLARES = re.compile(
    r"(?:\b(?:def|function|func|fn|sub|fun|defn|define|let|const|var|static)\b|<-\s*function|\w\s*\()"
)
# How models name a language after a fence, where that is not our code or the language's name in small letters.
_FENCE_NAMES: Mapping[str, frozenset[str]] = {
    "cpp": frozenset({"c++", "cc", "cxx"}),
    "cs": frozenset({"csharp", "c#"}),
    "go": frozenset({"golang"}),
    "hs": frozenset({"haskell"}),
    "java": frozenset({"java"}),
    "jl": frozenset({"julia"}),
    "js": frozenset({"javascript", "node", "jsx"}),
    "pl": frozenset({"perl"}),
    "py": frozenset({"python", "python3"}),
    "rb": frozenset({"ruby"}),
    "rkt": frozenset({"racket", "scheme", "lisp"}),
    "rs": frozenset({"rust"}),
    "sh": frozenset({"bash", "shell", "zsh"}),
    "ts": frozenset({"typescript", "tsx"}),
}


@dataclass(frozen=True)
class ChatCode:
    """Code found in an answer.

    `how` is "function" (the answer repeats the signature; what follows it is kept), "program" (the answer stands for
    prompt and completion), "body" (the answer goes on after the prompt), "other language" or "no code".
    """

    text: str
    how: str

    @property
    def is_program(self) -> bool:
        """Whether the text takes the place of the prompt, too."""
        return self.how == "program"


@dataclass(frozen=True)
class ChatRequest:
    """How a problem is put to a chat model: an instruction with the prompt in a fence, after a system prompt if any."""

    system_prompt: str | None = None
    instruction: str = (
        "Complete this {language} code. Answer with the whole code, from its first line, in one fenced code block."
    )

    def messages(self, problem: Mapping[str, Any]) -> list[dict[str, str]]:
        r"""Return the messages of a chat.

        >>> ChatRequest(instruction="Go on.").messages({"language": "py", "prompt": "def f():\n"})
        [{'role': 'user', 'content': 'Go on.\n\n```python\ndef f():\n```'}]
        """
        language = language_of(problem["language"])
        label = max(
            _FENCE_NAMES.get(language.code, {language.name.lower()}),
            key=lambda name: (name.isalpha(), name == language.name.lower(), name),
        )
        asked = self.instruction.replace("{language}", language.name)
        text = problem.get("context", "") + problem["prompt"]
        content = f"{asked}\n\n```{label}\n{text.rstrip(chr(10))}\n```"
        system = [{"role": "system", "content": self.system_prompt}] if self.system_prompt else []
        return [*system, {"role": "user", "content": content}]


def without_reasoning(answer: str) -> str:
    r"""Return the answer without what its model thought aloud before it.

    >>> without_reasoning("<think>Is it 2?</think>\nx = 2")
    'x = 2'
    """
    text = _THINKING.sub("", answer)
    # Some templates open the reasoning in the prompt, so that only its end is in the answer.
    for end in ("</think>", "</thinking>", "</reasoning>"):
        text = text.rpartition(end)[2]
    return text if text == answer else text.lstrip("\n")


def code_of_answer(answer: str, problem: Mapping[str, Any]) -> ChatCode:
    r"""Return the code of a chat model's answer to a problem of `prompt`, `language`, `tests` and `stop_tokens`.

    Of several fenced blocks the first in the problem's language that declares the function counts, else the first in
    it. A block in another language is no answer. Without a fence the whole answer counts where it holds the function.

    >>> problem = {"language": "py", "prompt": "import math\ndef f(x):\n    '''Root.'''\n", "tests": "", "stop_tokens": []}
    >>> code_of_answer("Sure:\n```python\ndef f(x):\n    return math.sqrt(x)\n```\nDone.", problem)
    ChatCode(text='import math\ndef f(x):\n    return math.sqrt(x)\n', how='program')
    >>> code_of_answer("```java\nint f;\n```", problem).how
    'other language'
    """
    text = without_reasoning(answer)
    name = function_name(problem["prompt"])
    blocks = [(match[2].lower(), match[3]) for match in _FENCE.finditer(text)]
    if not blocks:
        if not _declares(text, name):
            return ChatCode("", "no code") if not text.strip() or _is_prose(text) else _placed(text, name, problem)
        return _placed(text, name, problem)
    ours = [code for label, code in blocks if not label or _is_of(label, problem["language"])]
    if not ours:
        return ChatCode("", "other language")
    chosen = next((code for code in ours if _declares(code, name)), ours[0])
    return _placed(chosen, name, problem)


def function_name(prompt: str) -> str:
    r"""Return the name of the function that a prompt leaves open: the last one that it declares.

    >>> function_name("def helper(a):\n    return a\n\ndef long_name(b: int) -> int:\n    '''Doc (1).'''\n")
    'long_name'
    >>> function_name("class Problem {\n    // f(1)\n    public static long add(long x) {\n")
    'add'
    """
    return _signature(prompt)[1]


def _signature(prompt: str) -> tuple[int, str]:
    """The number of the line that declares the function, and its name."""
    found = 0, ""
    for number, line in enumerate(prompt.split("\n")):
        code = line.strip()
        if code.startswith(("#", "//", "*", "/*", "--", ";", ">>>", '"')) and not code.startswith("#lang"):
            continue
        match = re.search(r"\b(?:def|function|func|fn|sub|fun|defun)\s+([A-Za-z_]\w*[?!]?)", code)
        match = match or re.search(r"\(define\s+\(([^\s()]+)", code) or re.search(r"([\w.]+)\s*<-\s*function", code)
        if match is None and code.endswith(("{", "(", ")")):
            match = re.search(r"([A-Za-z_]\w*)\s*\([^()]*(?:\([^()]*\)[^()]*)*\)?\s*\{?$", code)
        if match is not None:
            found = number, match[1]
    return found


def _placed(code: str, name: str, problem: Mapping[str, Any]) -> ChatCode:
    stops, prompt = problem.get("stop_tokens", []), problem["prompt"]
    if not _declares(code, name):
        return ChatCode(cut_at_stop(_indented(code, prompt), stops), "body")
    if not problem["tests"].lstrip().startswith("}"):
        return ChatCode(_before_signature(prompt) + code, "program")
    # The tests close what the prompt has opened: only what is between is the completion.
    at = _signature_end(code, name)
    return ChatCode(cut_at_stop(_inside(code[at:]), stops), "function")


def _declares(code: str, name: str) -> bool:
    return bool(name) and any(
        re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", line)
        and _DECLARES.search(line)
        and not _is_call(line, name)
        for line in code.split("\n")
    )


def _is_call(line: str, name: str) -> bool:
    """Whether a line only uses the function: its name comes first or after a sign of use."""
    before, after = line[: line.find(name)].strip(), line[line.find(name) + len(name) :]
    if not before:
        return re.match(r"\s*(<-|=)\s*function\b|\s*\(\s*\)\s*\{", after) is None
    return before.endswith(("=", "(", ",", "return", "assert", "print", "`", ".", ">")) and "define" not in before


def _before_signature(prompt: str) -> str:
    return "".join(line + "\n" for line in prompt.split("\n")[: _signature(prompt)[0]])


def _signature_end(code: str, name: str) -> int:
    start = next((m.start() for m in re.finditer(rf"(?<![\w$]){re.escape(name)}(?![\w$])", code)), 0)
    opening = code.find("{", start)
    if opening < 0:
        return code.find("\n", start) + 1
    end = code.find("\n", opening)
    return opening + 1 if end < 0 or code[opening + 1 : end].strip() else end + 1


def _inside(code: str) -> str:
    """Return the text up to the brace that closes what was opened before it; strings and comments are passed over."""
    depth = 0
    for match in _BRACES.finditer(code):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth < 0:
            return code[: match.start()].rstrip(" \t")
    return code


def _indented(code: str, prompt: str) -> str:
    """A body as deep as the prompt wants it: chat models begin theirs in the first column."""
    first = next((line for line in code.split("\n") if line.strip()), "")
    is_python = re.search(r":\s*(#.*)?$|\"\"\"\s*$|'''\s*$", prompt.rstrip()) is not None
    if not is_python or first[:1].isspace() or not first:
        return code
    return "".join("    " + line if line.strip() else line for line in code.splitlines(keepends=True))


def _is_of(label: str, language: str) -> bool:
    return label == language or label in _FENCE_NAMES.get(language, {language})


def _is_prose(text: str) -> bool:
    """Whether a text without a fence reads as sentences and not as code."""
    lines = [line for line in text.strip().split("\n") if line.strip()]
    signs = sum(any(sign in line for sign in "=(){};") or line[:1].isspace() for line in lines)
    return len(_WORD.findall(text)) > 2 and 2 * signs < len(lines)
