"""Names of file and repository: where StarCoder's and StarCoder2's prompts have them, and that they are never cut."""

import pytest
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from modeling_santa.encode_santa import encode_text
from modeling_santa.errors_santa import ModelError
from modeling_santa.fim_santa import OTHER_ENDS
from modeling_santa.stream_santa import plan_answer

FIRST, SECOND = ["<filename>", "<reponame>"], ["<file_sep>", "<repo_name>"]


def with_tokens(tokenizer, tokens):
    grown = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(tokenizer.to_str()))
    grown.add_tokens(tokens, special_tokens=True)
    return grown


@pytest.fixture
def prompt(tiny_model, tokenizer):
    """Return the prompt, decoded, that a model gets of "a" and "b" by a tokenizer with some more tokens."""

    def written(tokens, prefix="a", suffix="b", **settings):
        grown = with_tokens(tokenizer, tokens)
        return grown.decode(plan_answer(tiny_model, grown, prefix, suffix, max_new_tokens=8, **settings).ids)

    return written


@pytest.mark.parametrize(
    ("tokens", "names", "psm"),
    [
        (FIRST, {"file_name": "f.py"}, "<fim-prefix><filename>f.py\na<fim-suffix>b<fim-middle>"),
        (FIRST, {"repo_name": "o/r"}, "<fim-prefix><reponame>o/r\na<fim-suffix>b<fim-middle>"),
        (
            FIRST,
            {"file_name": "f.py", "repo_name": "o/r"},
            "<fim-prefix><reponame>o/r<filename>f.py\na<fim-suffix>b<fim-middle>",
        ),
        (SECOND, {"file_name": "f.py"}, "<file_sep><fim-prefix>f.py\na<fim-suffix>b<fim-middle>"),
        (SECOND, {"repo_name": "o/r"}, "<repo_name>o/r<file_sep><fim-prefix>a<fim-suffix>b<fim-middle>"),
        (
            SECOND,
            {"file_name": "f.py", "repo_name": "o/r"},
            "<repo_name>o/r<file_sep><fim-prefix>f.py\na<fim-suffix>b<fim-middle>",
        ),
    ],
)
def test_names_stand_where_the_model_learned_them(prompt, tokens, names, psm):
    """Prefix first; suffix first, where the names go with the prefix; and a text that is continued."""
    assert psm == prompt(tokens, **names)
    front, rest = psm.split("<fim-prefix>")
    named = rest.split("a<fim-suffix>")[0]
    assert f"{front}<fim-prefix><fim-suffix>b<fim-middle>{named}a" == prompt(tokens, **names, mode="spm")
    assert f"{front}{named}a" == prompt(tokens, suffix=None, **names)


def test_names_stay_where_the_text_is_cut(prompt):
    """Ten contexts of text on either side: names whole, prompt within the context."""
    text = "def add(a, b):\n    return a + b\n" * 200
    for suffix in (text, None):
        found = prompt(SECOND, text, suffix, file_name="src/f.py", repo_name="o/r")
        assert "<repo_name>o/r<file_sep>" in found
        assert "src/f.py\n" in found


def test_a_token_in_a_name_is_text(prompt, tokenizer):
    """A file that is called like a token asks for nothing."""
    assert with_tokens(tokenizer, FIRST).convert_tokens_to_ids("<filename>") is not None
    assert prompt(FIRST, file_name="<reponame>").startswith("<fim-prefix><filename><reponame>\n")


@pytest.mark.parametrize("token", [*OTHER_ENDS, "<issue_start>"])
@pytest.mark.parametrize("is_special", [True, False])
def test_no_token_of_repositories_and_files_stays_in_an_answer(tiny_model, tokenizer, monkeypatch, token, is_special):
    """Whoever writes it, streamed or returned: the answer ends before it, also where the vocabulary calls a known one plain."""
    if token not in OTHER_ENDS and not is_special:
        return  # a word of the vocabulary like any other
    grown = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(tokenizer.to_str()))
    grown.add_tokens([token], special_tokens=is_special)
    script = [*encode_text(grown, "x")[:], grown.convert_tokens_to_ids(token), *encode_text(grown, "yyy")[:]]
    forward, written = tiny_model.forward, []

    def writing(*arguments, **settings):
        out = forward(*arguments, **settings)
        out.logits = torch.zeros_like(out.logits)
        out.logits[..., script[len(written)]] = 9.0
        written.append(token)
        return out

    monkeypatch.setattr(tiny_model, "forward", writing)
    pieces = list(tiny_model.stream(grown, "a", "b", max_new_tokens=len(script)))
    assert ("x", "end") == ("".join(piece.text for piece in pieces), pieces[-1].finish)
    written.clear()
    middle = tiny_model.infill(grown, "a", "b", max_new_tokens=len(script))
    assert ("x", "end") == (middle, middle.finish)


@pytest.mark.parametrize(
    ("tokens", "names", "message"),
    [
        ([], {"file_name": "f.py"}, "has no token for it .StarCoder's is <filename>"),
        (["<filename>"], {"repo_name": "o/r"}, "repo_name: the tokenizer has no token"),
        (FIRST, {"file_name": ""}, "is no name"),
        (FIRST, {"repo_name": "a\nb"}, "Give one line of text"),
        (FIRST, {"file_name": "folder/" * 90}, "Shorten them"),
    ],
)
def test_names_that_cannot_be_given_are_refused(prompt, tokens, names, message):
    """A vocabulary without the token, no name, two lines, and one longer than half of the prompt."""
    with pytest.raises(ModelError, match=message):
        prompt(tokens, **names)
