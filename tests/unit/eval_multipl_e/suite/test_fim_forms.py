"""How a gap is told to each kind of model, and how tokens are drawn."""

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[3] / "fixtures"))
from eval_models import CONTEXT, model_of, spelling, tokenizer_of

from eval_multipl_e.suite.chat import ChatRequest
from eval_multipl_e.suite.completing import AnswerSettings, GapPrompt
from eval_multipl_e.suite.fim_forms import FORMS, REPOSITORY, encode, end_ids, form_of
from eval_multipl_e.suite.model import Continuer, prompt_ids
from hf_santa.sampling import model_sampling
from modeling_santa.fim_santa import DIALECTS, OTHER_ENDS
from modeling_santa.prompt_santa import fit

SPELLED = {
    "santacoder": "<fim-prefix>ab<fim-suffix>cd<fim-middle>",
    "starcoder": "<fim_prefix>ab<fim_suffix>cd<fim_middle>",
    "incoder": "<|endoftext|>ab<|mask:0|>cd<|mask:1|><|mask:0|>",
}


def continuer_of(model, tokenizer, **asked):
    return Continuer(model, tokenizer, model_sampling(), AnswerSettings(**asked))


@pytest.mark.parametrize("kind", SPELLED)
def test_each_model_is_asked_in_its_own_form(kind):
    """Prefix and suffix stand between the sentinels that the model's own authors use, in their order."""
    tokenizer = tokenizer_of(kind)
    assert kind == form_of(tokenizer).name
    ids, left_out = encode(tokenizer, form_of(tokenizer), "ab", "cd", fit)
    assert (SPELLED[kind], 0) == (tokenizer.decode(ids), left_out)


def test_a_tokenizer_without_sentinels_goes_left_to_right():
    """CodeGen's tokenizer has no sentinels: text is continued, and a gap is refused unless the form is asked for."""
    tokenizer = tokenizer_of("codegen")
    assert "left-to-right" == form_of(tokenizer).name
    prompt = GapPrompt("a", "b", (), "0")
    model = model_of("codegen")
    with pytest.raises(ValueError, match=r"has the sentinels of no form .* \(special tokens: <\|endoftext\|>\)"):
        continuer_of(model, tokenizer, max_new_tokens=2)([prompt])
    continuer_of(model, tokenizer, max_new_tokens=2, form="left-to-right")([prompt])


def test_a_form_the_tokenizer_does_not_speak_is_refused():
    """Asking for a form without its sentinels is an error that names them; so is an unknown one."""
    with pytest.raises(ValueError, match=r"lacks <fim-prefix>, <fim-suffix>, <fim-middle>, which form 'santacoder'"):
        form_of(tokenizer_of("codegen"), "santacoder")
    with pytest.raises(ValueError, match=r"form 'bert' is unknown\. Use auto, santacoder"):
        form_of(tokenizer_of("codegen"), "bert")


def test_sentinels_in_a_text_are_plain_text():
    """A source file that spells out a sentinel is encoded as its letters."""
    tokenizer = tokenizer_of("santacoder")
    ids, _ = encode(tokenizer, FORMS["santacoder"], "<fim-middle>", "", fit)
    assert 1 == sum(token == tokenizer.convert_tokens_to_ids("<fim-middle>") for token in ids)
    assert "<fim-prefix><fim-middle><fim-suffix><fim-middle>" == tokenizer.decode(ids)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(3, 40))
def test_what_is_far_from_the_gap_goes_first(before, after, room):
    """A prompt fits into its room, what stays of each side touches the gap, and nothing is dropped without need."""
    tokenizer = tokenizer_of("santacoder")
    prefix, suffix = "".join(map(chr, range(65, 65 + before))), "".join(map(chr, range(65, 65 + after)))
    ids, left_out = encode(tokenizer, FORMS["santacoder"], prefix, suffix, fit, room=room)
    left, right = tokenizer.decode(ids).removeprefix("<fim-prefix>").removesuffix("<fim-middle>").split("<fim-suffix>")
    assert prefix.endswith(left)
    assert suffix.startswith(right)
    assert len(ids) == min(room, before + after + 3)
    assert left_out == before + after - len(left) - len(right)


@pytest.mark.parametrize(
    ("kind", "ends"),
    [
        ("santacoder", {"<|endoftext|>", "<fim-prefix>", "<fim-middle>", "<fim-suffix>", "<fim-pad>"}),
        ("incoder", {"<s>", "<pad>", "<|endoftext|>", "<|mask:0|>", "<|mask:1|>", "<|endofmask|>"}),
        ("codegen", {"<|endoftext|>"}),
    ],
)
def test_each_model_ends_at_its_own_tokens(kind, ends):
    """The tokens that end an answer are the form's, as far as the tokenizer has them."""
    tokenizer = tokenizer_of(kind)
    assert ends == set(tokenizer.convert_ids_to_tokens(end_ids(tokenizer, form_of(tokenizer))))


DEEP = "<\uff5cfim▁{}\uff5c>"
FAMILIES = {
    "qwen": "<|fim_prefix|>ab<|fim_suffix|>cd<|fim_middle|>",
    "codegemma": "<|fim_prefix|>ab<|fim_suffix|>cd<|fim_middle|>",
    "deepseek": DEEP.format("begin") + "ab" + DEEP.format("hole") + "cd" + DEEP.format("end"),
    "codellama": "▁<PRE>ab▁<SUF>cd▁<MID>",
    "seed-coder": "<[fim-suffix]>cd<[fim-prefix]>ab<[fim-middle]>",
    "codestral": "[SUFFIX]cd[PREFIX]ab",
    "mellum": "<fim_suffix>cd<fim_prefix>ab<fim_middle>",
    "starcoder": "<fim_prefix>ab<fim_suffix>cd<fim_middle>",
}


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_is_known_by_its_tokens(name):
    """A byte-level tokenizer with a family's special tokens is asked in that family's order, suffix first where it is so."""
    tokenizer = spelling(FORMS[name].sentinels, FORMS[name].marks, "<|endoftext|>", "<repo_name>")
    tokenizer.name_or_path = "JetBrains/Mellum-4b-base" if name == "mellum" else "folder"
    form = form_of(tokenizer)
    ids, left_out = encode(tokenizer, form, "ab", "cd", fit)
    assert (name, FAMILIES[name], 0) == (form.name, tokenizer.decode(ids), left_out)
    ends = set(tokenizer.convert_ids_to_tokens(end_ids(tokenizer, form, [7, 8])))
    assert {*form.sentinels, "<repo_name>", "<|endoftext|>"} <= ends
    assert set(tokenizer.convert_ids_to_tokens([7, 8])) <= ends  # generation_config's


def test_codellama_puts_its_blank_before_the_prefix_alone():
    """A tokenizer that puts a blank before every text puts none before the suffix, which goes on after the gap."""
    tokenizer = spelling(FORMS["codellama"].sentinels, "<|endoftext|>", has_blank=True)
    ids, _ = encode(tokenizer, FORMS["codellama"], "ab", "cd", fit)
    assert "▁<PRE> ab▁<SUF>cd▁<MID>" == tokenizer.decode(ids)


def test_a_form_of_ones_own_comes_from_a_file(tmp_path):
    """Order, ends and name are read from YAML or JSON; what is wrong in it is named."""
    path = tmp_path / "own.yaml"
    path.write_text("order: [<A>, SUFFIX, <B>, PREFIX, <C>]\nends: [<E>]\n")
    tokenizer = spelling(["<A>", "<B>", "<C>", "<E>"])
    form = form_of(tokenizer, str(path))
    assert ("own", "<A>cd<B>ab<C>") == (form.name, tokenizer.decode(encode(tokenizer, form, "ab", "cd", fit)[0]))
    with pytest.raises(ValueError, match=r"lacks <B>"):
        form_of(spelling(["<A>", "<C>"]), str(path))
    with pytest.raises(ValueError, match=r"lacks <E>"):
        form_of(spelling(["<A>", "<B>", "<C>"]), str(path))
    for text, said in (
        ("order: [<A>]", "needs PREFIX once"),
        ("order: PREFIX", "no list"),
        ("{", "can't be read"),
        ("- 1", "no mapping"),
        ("order: [PREFIX]\nstop: x", "'stop'"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=said):
            form_of(tokenizer, str(path))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_forms_spell_the_sentinels_as_the_model_does(dialect):
    """The rooms import nothing of each other, so both spell the sentinels: alike, and each ends an answer in both."""
    assert DIALECTS[dialect].in_id_order() == FORMS[dialect].ends
    assert set(FORMS[dialect].sentinels) < set(DIALECTS[dialect].in_id_order())
    assert set(OTHER_ENDS) <= set(REPOSITORY)


@pytest.mark.parametrize("kind", ["santacoder", "starcoder", "incoder", "codegen"])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_row_does_not_depend_on_its_batch(kind, temperature):
    """Prompts of different lengths give the same texts together, padded on the left, and one by one."""
    continuer = continuer_of(model_of(kind), tokenizer_of(kind), temperature=temperature, max_new_tokens=10)
    gap = None if kind == "codegen" else "return 1\n"
    prompts = [GapPrompt("def f():\n" + i * "x", gap if i % 2 else None, ("zz",), f"0/{i}") for i in range(5)]
    assert continuer(prompts) == [continuer([prompt])[0] for prompt in prompts]


def test_a_stop_ends_its_own_row_alone():
    """A row ends where its stop text is complete; another row of the same prompt and draws goes on."""
    continuer = continuer_of(model_of("starcoder"), tokenizer_of("starcoder"), temperature=2.0, max_new_tokens=40)
    whole, again = continuer([GapPrompt("def", None, (), "1"), GapPrompt("def", None, (), "1")])
    assert whole == again
    stop = whole.text[5:7]
    cut, other = continuer([GapPrompt("def", None, (stop,), "1"), GapPrompt("def", None, (), "1")])
    assert (whole.text[: whole.text.index(stop)], "stop") == (cut.text, cut.end)
    assert whole == other


def test_ids_that_only_pad_the_vocabulary_are_never_drawn():
    """A matrix larger than the tokenizer's vocabulary has rows that stand for no token."""
    tokenizer = tokenizer_of("starcoder")
    model = model_of("starcoder")
    with torch.no_grad():
        model.transformer.wte.weight[len(tokenizer) :] = 10.0 * model.transformer.wte.weight[65]
    found = continuer_of(model, tokenizer, temperature=1.0, max_new_tokens=20)([GapPrompt("a", None, (), "0")])
    assert found[0].text


def test_a_model_folder_has_no_say_in_how_tokens_are_drawn():
    """Penalties and sampling in a model's generation configuration change nothing."""
    model, tokenizer = model_of("starcoder"), tokenizer_of("starcoder")
    prompt = [GapPrompt("abc", None, (), "0")]
    expected = continuer_of(model, tokenizer, temperature=0.7, max_new_tokens=12)(prompt)
    model = model_of("starcoder")
    model.generation_config.update(do_sample=True, temperature=0.01, repetition_penalty=5.0, max_new_tokens=3)
    assert expected == continuer_of(model, tokenizer, temperature=0.7, max_new_tokens=12)(prompt)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1}, "temperature=-1"),
        ({"top_p": 0.0}, r"top_p=0\.0"),
        ({"top_p": float("nan")}, "top_p=nan"),
        ({"max_new_tokens": 0}, "max_new_tokens=0 is below 1"),
        ({"max_new_tokens": CONTEXT}, f"leaves no room for a prompt in a context of {CONTEXT}"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    """Settings outside their range, or longer than the context, are errors that say so."""
    with pytest.raises(ValueError, match=message):
        continuer_of(model_of("starcoder"), tokenizer_of("starcoder"), **settings)


def test_an_empty_prompt_is_refused_where_nothing_starts_it():
    """A model can't continue no tokens at all; one whose tokenizer starts every text can."""
    empty = [GapPrompt("", None, (), "0")]
    with pytest.raises(ValueError, match="a prompt is empty"):
        continuer_of(model_of("starcoder"), tokenizer_of("starcoder"), max_new_tokens=2)(empty)
    assert continuer_of(model_of("incoder"), tokenizer_of("incoder"), max_new_tokens=2)(empty)


def test_a_prompt_longer_than_the_context_says_what_was_left_out():
    """Of a long prompt the end is kept, and the row counts the tokens that went."""
    continuer = continuer_of(model_of("starcoder"), tokenizer_of("starcoder"), max_new_tokens=10)
    (found,) = continuer([GapPrompt("x" * CONTEXT, None, (), "0")])
    assert 10 == found.left_out


def test_a_chat_model_is_asked_by_its_template():
    """System prompt and problem go through the tokenizer's template; the row keeps answer and form. No template, no chat."""
    problem = {"name": "p", "language": "py", "prompt": "def f():\n", "tests": "f()", "stop_tokens": ["a"]}
    tokenizer = spelling("<|endoftext|>")
    model = model_of("codegen")
    asked = ChatRequest("Short.", instruction="Go on.")
    with pytest.raises(ValueError, match="no chat template"):
        continuer_of(model, tokenizer, chat=asked, max_new_tokens=4)
    tokenizer.chat_template = "{% for m in messages %}{{ m.role[0] }}:{{ m.content }}|{% endfor %}"
    continuer = continuer_of(model, tokenizer, chat=asked, max_new_tokens=4, temperature=0)
    prompt = GapPrompt(problem["prompt"], None, ("a",), "0", problem)
    ids, left_out = prompt_ids(tokenizer, prompt, continuer.form, asked, fit=continuer._sampling.fit, room=None)
    assert ("s:Short.|u:Go on.\n\n```python\ndef f():\n```|", 0) == (tokenizer.decode(ids), left_out)
    (found,) = continuer([GapPrompt(problem["prompt"], None, ("a",), "0", problem)])
    assert found.how in {"no code", "body", "program"}
    assert found.answer
