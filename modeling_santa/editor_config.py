"""Compute settings of editors and of `llama-server` that leave a model's context room for the answer.

A small context is easily filled by the text around the cursor, and a model whose context is full answers nothing. What
an editor sends at most follows from its settings:

| client | what it sends at most |
|---|---|
| llama.vscode, llama.vim | everything; `llama-server` cuts it to its batch: three quarters before the cursor, one quarter after |
| Continue | whole lines: of `maxPromptTokens`, counted with another tokenizer, one share before the cursor and one after it; the file's path |
| Twinny | `contextLength` lines, 85 % of them before the cursor, in its template `fim.hbs` |
| Tabby | the agent's `maxPrefixLines` and `maxSuffixLines`; of the finished prompt the server keeps the last `max_input_length` bytes |

So a prompt that Tabby's server cuts has lost its first sentinel: the agent has to send no more than fits.

Sources: `/infill` of llama.cpp's server; Continue core/autocomplete (HelperVars.prunePrefixSuffix, templating); Twinny
src/extension/utils.ts (getPrefixSuffix); Tabby crates/tabby-inference (clip_prompt) and clients/tabby-agent (its default settings).
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from modeling_santa.checkpoints import read_config
from modeling_santa.errors_santa import ModelError
from modeling_santa.fim_santa import DIALECTS, FimTokens
from modeling_santa.tokenizer.train import load_any_tokenizer

Client = Literal["llama-server", "llama.vscode", "llama.vim", "continue", "twinny", "tabby"]
CLIENTS: tuple[Client, ...] = get_args(Client)
_SPARE = 8  # the three sentinels, and what a tokenizer may put at a cut
_PATH = 24  # the comment with the file's path, which Continue does not count
_DENSE = 0.5  # dense code has up to twice as many tokens a character as the usual
_CHARS_A_LINE = 40
_URL = "http://127.0.0.1:8012"


@dataclass(frozen=True)
class Budget:
    """How a context is shared: tokens of the whole, of the longest answer and of the text around the cursor."""

    context: int
    answer: int
    text: int
    chars: int

    @property
    def batch(self) -> int:
        """The batch of `llama-server` to which it cuts what an editor sends; a multiple of four."""
        return (self.text + 2) // 4 * 4

    @property
    def lines(self) -> int:
        """Lines of code that fit."""
        return max(2, self.chars // _CHARS_A_LINE)


def editor_config(folder: str | Path, client: Client, *, max_new_tokens: int = 64) -> str:
    """Return the settings of a client for the model in `folder`, ready to be copied.

    Raises:
        ModelError: no model or tokenizer, an unknown client, or an answer that leaves no room for a text.
    """
    if client not in CLIENTS:
        raise ModelError(f"editor_config: client={client!r} is unknown. Choose one of {', '.join(CLIENTS)}.")
    place = Path(folder)
    budget, tokens = budget_of(place, max_new_tokens), _tokens(place)
    name = place.resolve().name
    template = f"{tokens.prefix}{{before}}{tokens.suffix}{{after}}{tokens.middle}"
    if client == "llama-server":
        return _server(budget)
    if client == "llama.vscode":
        settings: dict[str, object] = {
            "llama-vscode.endpoint": _URL,
            "llama-vscode.n_predict": budget.answer,
            "llama-vscode.n_prefix": budget.lines,
            "llama-vscode.n_suffix": max(1, budget.lines // 3),
            "llama-vscode.ring_n_chunks": 0,
        }
        return json.dumps(settings, indent=2) + "\n"
    if client == "llama.vim":
        return (
            "let g:llama_config = {\n"
            f'  \\ "endpoint_fim": "{_URL}/infill",\n'
            f'  \\ "n_predict": {budget.answer}, "n_prefix": {budget.lines}, "n_suffix": {max(1, budget.lines // 3)},\n'
            '  \\ "ring_n_chunks": 0 }\n'
        )
    if client == "continue":
        return _continue(budget, name, template)
    if client == "twinny":
        settings = {
            "twinny.contextLength": budget.lines,
            "twinny.numPredictFim": budget.answer,
            "twinny.recentEditsEnabled": False,
            "twinny.lspContextEnabled": False,
            "twinny.fileContextEnabled": False,
        }
        return (
            "// ~/.twinny/templates/fim.hbs, with custom-template as the provider's FIM template:\n"
            f"// {template.format(before='{{{prefix}}}', after='{{{suffix}}}')}\n{json.dumps(settings, indent=2)}\n"
        )
    return _tabby(budget, name, template)


def _tabby(budget: Budget, name: str, template: str) -> str:
    """The agent sends lines for half of the room; the server's limit, of the whole room, is not to cut usual code."""
    before = max(1, 3 * budget.lines // 4)
    bytes_of_sentinels = len(template.format(before="", after=""))
    return (
        "# ~/.tabby/config.toml, of the server\n"
        "[model.completion.http]\n"
        'kind = "llama.cpp/completion"\n'
        f'model_name = "{name}"\n'
        f'api_endpoint = "{_URL}"\n'
        f'prompt_template = "{template.format(before="{prefix}", after="{suffix}")}"\n'
        "\n[completion]\n"
        f"max_input_length = {math.floor(budget.chars / _DENSE) + bytes_of_sentinels}\n"
        f"max_decoding_tokens = {budget.answer}\n"
        "\n# ~/.tabby-client/agent/config.toml, of the editor\n"
        "[completion.prompt]\n"
        f"maxPrefixLines = {before}\n"
        f"maxSuffixLines = {budget.lines - before}\n"
        "fillDeclarations = { enabled = false }\n"
        "collectSnippetsFromRecentChangedFiles = { enabled = false }\n"
    )


def longest_infill(budget: Budget, before: int, after: int) -> int:
    """Return how many tokens `llama-server` makes of a prompt for `/infill`, sentinels and all.

    Args:
        budget: Its settings.
        before: Tokens before the cursor, however many.
        after: Tokens after it.
    """
    quarter = budget.batch // 4
    return min(before, 3 * quarter) + min(after, max(0, quarter - 2)) + 3


def budget_of(folder: Path, max_new_tokens: int) -> Budget:
    """Share a model's context between the answer and the text.

    Raises:
        ModelError: no model, or nothing is left for the text.
    """
    positions = read_config(folder).get("n_positions")
    if not isinstance(positions, int) or positions < 1:
        raise ModelError(f"{folder / 'config.json'} has n_positions={positions!r}, expected a number of tokens.")
    text = positions - max_new_tokens - _SPARE
    if max_new_tokens < 1 or text < 32:
        raise ModelError(
            f"editor_config: an answer of {max_new_tokens} tokens leaves {max(0, text)} of {positions} for the text around the "
            "cursor. Choose --max-new-tokens between 1 and a half of the context."
        )
    return Budget(positions, max_new_tokens, text, math.floor(text * _chars_a_token(folder) * _DENSE))


def _chars_a_token(folder: Path) -> float:
    """Return how many characters of Python a token of the model stands for: measured on this project's own code."""
    text = "".join(path.read_text("utf-8") for path in sorted(Path(__file__).parent.glob("c*.py")))
    return len(text) / len(load_any_tokenizer(folder).encode(text).ids)


def _tokens(folder: Path) -> FimTokens:
    """Return the sentinels as the folder's tokenizer spells them."""
    tokenizer = load_any_tokenizer(folder)
    for tokens in DIALECTS.values():
        if tokenizer.token_to_id(tokens.prefix) is not None:
            return tokens
    raise ModelError(
        f"{folder / 'tokenizer.json'} has no fill-in-the-middle tokens. An editor can't fill gaps with it."
    )


def _server(budget: Budget) -> str:
    return (
        f"llama-server -m model.gguf --host 127.0.0.1 --port 8012 -c {budget.context} -b {budget.batch} -ub {budget.batch} "
        f"-n {budget.answer} --parallel 1\n"
    )


def _continue(budget: Budget, name: str, template: str) -> str:
    return (
        f"name: {name}\n"
        "version: 0.0.1\n"
        "schema: v1\n"
        "models:\n"
        f"  - name: {name}\n"
        "    provider: llama.cpp\n"
        f"    model: {name}\n"
        f"    apiBase: {_URL}\n"
        "    roles: [autocomplete]\n"
        "    promptTemplates:\n"
        f'      autocomplete: "{template.format(before="{{{prefix}}}", after="{{{suffix}}}")}"\n'
        "    defaultCompletionOptions:\n"
        f"      contextLength: {budget.context}\n"
        f"      maxTokens: {budget.answer}\n"
        "    autocompleteOptions:\n"
        f"      maxPromptTokens: {math.floor((budget.text - _PATH) * _DENSE)}\n"
        "      prefixPercentage: 0.75\n"
        "      maxSuffixPercentage: 0.25\n"
        "      onlyMyCode: true\n"
        "      useImports: false\n"
        "      useRecentlyEdited: false\n"
        "      useRecentlyOpened: false\n"
        "      experimental_includeRecentlyVisitedRanges: false\n"
        "      experimental_includeRecentlyEditedRanges: false\n"
        "      experimental_includeDiff: false\n"
    )
