"""Tokenizer, packed corpus, FIM loading and the loop: exact, stateless, resumable to the same bytes."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from modeling_santa.corpus import fim_samples
from modeling_santa.fim_santa import TOKENS
from modeling_santa.modeling_santa import SantaForCausalLM
from modeling_santa.tokenizer import train as tokenizers
from modeling_santa.training.loop.loop import TrainingPlan, train
from modeling_santa.training.loop.progress import Progress
from modeling_santa.training.loop.step import LossOf

TEXTS = [f"def f_{n}(a):\n    return a + {n}  # caf\u00e9 \U0001f600\r\n\nprint('<fim-middle>')\n" for n in range(60)]
PLAN = TrainingPlan(steps=12, batch_size=2, log_every=2, evaluate_every=6, save_every=4)


@pytest.fixture
def stream(tokenizer, tmp_path):
    fim_samples.pack(TEXTS, tokenizer, tmp_path / "corpus")
    return np.asarray(fim_samples.read_tokens(tmp_path / "corpus"))


@pytest.fixture
def dataset(stream, tokenizer):
    return fim_samples.FimDataset(stream, tokenizer, seq_len=48, fim_rate=0.7)


def test_the_five_special_tokens_come_last(tokenizer):
    """Their ids follow the last merge, in SantaCoder's order, and the model's vocabulary is padded to 128."""
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    assert list(range(size - 5, size)) == [tokenizer.token_to_id(token) for token in TOKENS.in_id_order()]
    assert -(-size // 128) * 128 == tokenizers.padded_vocab_size(tokenizer)


@pytest.mark.parametrize("text", ["x = 12345", "\r\n\t caf\u00e9 \U0001f600", "e\u0301", "\x00\u2028", "<fim-prefix>a"])
def test_text_comes_back_exactly(tokenizer, text):
    """Decoding the ids gives the text, whatever it holds; a spelled sentinel is text."""
    ids = tokenizer.encode(text).ids
    assert text == tokenizer.decode(ids, skip_special_tokens=False)
    assert text.encode() == b"".join(tokenizers.token_bytes(tokenizer)[token] for token in ids)


def test_digits_are_split(tokenizer):
    """Every digit is a token of its own."""
    assert list("12345") == tokenizer.encode("12345").tokens


def test_training_twice_gives_the_same_tokenizer():
    """The same texts in the same order: the same vocabulary and merges."""
    first, second = (tokenizers.train_tokenizer(TEXTS, vocab_size=300).to_str() for _ in range(2))
    assert first == second


def test_a_tokenizer_needs_text_and_room(tmp_path):
    """No text, too few tokens, or a missing file: each is named with what to do."""
    with pytest.raises(ValueError, match="no text was given"):
        tokenizers.train_tokenizer([], vocab_size=300)
    with pytest.raises(ValueError, match="vocab_size=100 leaves no room for the 256 bytes"):
        tokenizers.train_tokenizer(TEXTS, vocab_size=100)
    with pytest.raises(ValueError, match=r"tokenizer.json does not exist"):
        tokenizers.load_tokenizer(tmp_path)


def test_the_saved_tokenizer_is_the_same_for_transformers(tokenizer, hf_tokenizer):
    """AutoTokenizer opens the folder and gives the same ids; it pads on the left with <fim-pad>."""
    for text in TEXTS[:5]:
        assert tokenizer.encode(text).ids == hf_tokenizer(text, split_special_tokens=True)["input_ids"]
    assert (hf_tokenizer.pad_token, hf_tokenizer.padding_side) == ("<fim-pad>", "left")


def test_packing_keeps_every_document(stream, tokenizer, tmp_path):
    """The stream cut at <|endoftext|> gives every document back, byte for byte."""
    end = tokenizer.token_to_id("<|endoftext|>")
    documents = np.split(stream, np.flatnonzero(stream == end) + 1)[:-1]
    assert [tokenizer.decode(document[:-1].tolist(), skip_special_tokens=False) for document in documents] == TEXTS
    about = json.loads((tmp_path / "corpus" / "corpus.json").read_text())
    assert (60, len(stream), sum(len(text.encode()) for text in TEXTS)) == (
        about["documents"],
        about["tokens"],
        about["text_bytes"],
    )


def test_a_damaged_corpus_is_refused(stream, tmp_path):
    """A file of another length than its description says, or a missing description, is named."""
    tokens = tmp_path / "corpus" / "tokens-00000.bin"
    tokens.write_bytes(tokens.read_bytes()[:-2])
    with pytest.raises(ValueError, match=rf"holds {len(stream) - 1} tokens, expected {len(stream)}"):
        fim_samples.read_tokens(tmp_path / "corpus")
    (tmp_path / "corpus" / "corpus.json").unlink()
    with pytest.raises(ValueError, match=r"has no corpus\.json, so it was never finished"):
        fim_samples.read_tokens(tmp_path / "corpus")
    with pytest.raises(ValueError, match="there is no folder"):
        fim_samples.read_tokens(tmp_path / "nowhere")


def test_samples_depend_on_epoch_and_index_alone(dataset):
    """Order of access changes nothing; another epoch permutes anew."""
    forward = [dataset.sample(0, i)[0].tolist() for i in range(len(dataset))]
    backward = [dataset.sample(0, i)[0].tolist() for i in reversed(range(len(dataset)))]
    assert forward == backward[::-1]
    assert forward != [dataset.sample(1, i)[0].tolist() for i in range(len(dataset))]


def test_samples_have_their_length_and_shifted_labels(dataset):
    """Inputs and labels have seq_len tokens each; a label is the next input, and padding carries no loss."""
    pad = dataset.pad_id
    for index in range(len(dataset)):
        inputs, labels = dataset.sample(0, index)
        assert (len(inputs), len(labels)) == (48, 48)
        known = labels[:-1] != fim_samples.IGNORED
        assert np.array_equal(inputs[1:][known], labels[:-1][known])
        assert np.all(inputs[1:][~known] == pad)


def test_without_fim_a_sample_is_the_stream(stream, tokenizer):
    """At rate 0 the loader is a plain window."""
    plain = fim_samples.FimDataset(stream, tokenizer, seq_len=48, fim_rate=0.0)
    inputs, labels = plain.sample(0, 2)
    assert stream[2 * 49 : 3 * 49].tolist() == [*inputs.tolist(), labels[-1]]


def test_a_middle_is_never_cut(dataset, tokenizer):
    """Every permuted piece ends its middle with <|endoftext|>, and prefix + middle + suffix stands in the window."""
    prefix, middle, suffix = (tokenizer.token_to_id(token) for token in (TOKENS.prefix, TOKENS.middle, TOKENS.suffix))
    documents = "\0".join(TEXTS)
    permuted = 0
    for epoch in range(6):
        for index in range(len(dataset)):
            inputs, labels = dataset.sample(epoch, index)
            ids = [*inputs.tolist(), *labels[-1:].tolist()]
            starts = [at for at, token in enumerate(ids) if token == prefix]
            for start in starts:
                end = ids.index(dataset.end_id, start)
                piece = ids[start:end]
                permuted += 1
                at_suffix, at_middle = piece.index(suffix), piece.index(middle)
                texts = [
                    tokenizer.decode(part, skip_special_tokens=False)
                    for part in (piece[1:at_suffix], piece[at_suffix + 1 : at_middle], piece[at_middle + 1 :])
                ]
                assert texts[0] + texts[2] in documents or texts[2] in documents
    assert permuted > 50


def test_too_little_text_is_refused(stream, tokenizer):
    """A stream shorter than one sample cannot be trained on."""
    with pytest.raises(ValueError, match=r"fewer than one sample of seq_len\+1 = 100001"):
        fim_samples.FimDataset(stream, tokenizer, seq_len=100_000)


def test_unigram_bits_are_a_distribution(stream):
    """The probabilities of all tokens sum to one."""
    assert np.isclose(1.0, (2.0 ** -fim_samples.unigram_bits(stream, 512)).sum())


def run(dataset, config, out, plan=PLAN, on_step=lambda _: None):
    torch.manual_seed(0)
    model = SantaForCausalLM(config)
    windows = dataset.tokens[: 4 * 49].reshape(4, 49).astype(np.int64)
    result = train(model, dataset, plan, out, heldout=windows, heldout_bytes=500, on_step=on_step)
    return model, result


def test_training_lowers_the_loss(dataset, tiny_config, tmp_path):
    """Twelve steps on sixty tiny documents: the held-out cost falls, and the log says so."""
    _, result = run(dataset, tiny_config, tmp_path)
    costs = [record["heldout_bits_per_byte"] for record in result["log"] if "heldout_bits_per_byte" in record]
    assert costs[-1] < costs[0]
    assert (result["steps"], result["is_timed_out"]) == (12, False)


@pytest.mark.parametrize("killed_at", [1, 4, 5, 11])
def test_a_killed_run_continues_to_the_same_bytes(dataset, tiny_config, tmp_path, killed_at):
    """Killed at any step and started again, the run ends with the weights and the log of one that was not."""

    def kill(record):
        if record["step"] == killed_at:
            raise KeyboardInterrupt

    whole, expected = run(dataset, tiny_config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(dataset, tiny_config, tmp_path / "killed", on_step=kill)
    resumed, found = run(dataset, tiny_config, tmp_path / "killed")
    assert expected["log"] == found["log"]
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_a_damaged_checkpoint_is_set_aside(dataset, tiny_config, tmp_path, caplog):
    """A truncated checkpoint is named and kept; the one before it is used, to the same end."""
    whole, _ = run(dataset, tiny_config, tmp_path / "whole")

    def kill(record):
        if record["step"] == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(dataset, tiny_config, tmp_path / "hit", on_step=kill)
    weights = tmp_path / "hit" / "step-000008" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    resumed, _ = run(dataset, tiny_config, tmp_path / "hit")
    assert "step-000008 cannot be read" in caplog.text
    assert (tmp_path / "hit" / "corrupt-step-000008").is_dir()
    assert torch.equal(whole.lm_head.weight, resumed.lm_head.weight)


def test_the_time_limit_ends_a_run(dataset, tiny_config, tmp_path):
    """A run that is out of time stops after the step, saves, and says so; with more time it goes on to its end."""
    _, result = run(dataset, tiny_config, tmp_path, replace(PLAN, time_limit_s=0.0))
    assert (result["steps"], result["is_timed_out"]) == (1, True)
    assert (tmp_path / "step-000001").is_dir()
    _, again = run(dataset, tiny_config, tmp_path, replace(PLAN, time_limit_s=0.0))
    assert again["log"] == result["log"]
    _, more = run(dataset, tiny_config, tmp_path)
    assert (more["steps"], more["is_timed_out"]) == (12, False)


def paced(pace, limit_s, steps=1000):
    progress = Progress(steps, limit_s)
    places = []
    while not progress.is_over:
        places.append(progress.at)
        progress.advance(pace(progress.step))
    return progress, places


def test_a_fast_machine_goes_by_the_steps():
    """Where time suffices, even barely at first, the place in the schedule is the step: the same plan, the same bytes."""
    progress, places = paced(lambda step: 5.0 if step == 0 else 0.1, 120.0)
    assert list(range(1000)) == places
    assert not progress.is_late


@pytest.mark.parametrize("pace", [0.5, 3.0, 40.0])
def test_a_slow_machine_s_rate_falls_to_its_end(pace, caplog):
    """However few of the steps there is time for, the rate is near zero at the last one, and it is said once."""
    plan = TrainingPlan(steps=1000)
    progress, places = paced(lambda _: pace, 300.0)
    assert progress.step < 1000
    assert 300 - 2 * pace <= progress.seconds <= 300 + pace
    assert places == sorted(places)
    assert plan.rate(places[-1]) < (0.01 if pace < 10 else 0.3)
    assert caplog.text.count("The learning rate falls by the time from here on") == 1


def test_a_machine_that_becomes_free_takes_the_steps_back():
    """Busy for a while and then quiet: all the steps are taken that fit, and the rate never rises."""
    progress, places = paced(lambda step: 2.0 if step < 50 else 0.2, 300.0)
    assert places == sorted(places)
    assert progress.step == 1000


def test_a_loss_that_is_not_a_number_stops_the_run(dataset, tiny_config, tmp_path):
    """The message has the step and the samples; the last good checkpoint stays."""
    with pytest.raises(ValueError, match=r"the loss at step \d+ is .*nan.*, on samples \[\d+, \d+\] of the corpus"):
        run(dataset, tiny_config, tmp_path, replace(PLAN, matrix_lr=float("inf"), warmup_share=0.0))


def losses_of(dataset, config, out, **changes):
    """Each step's loss in float32 without dropout."""
    config = copy.deepcopy(config)
    config.resid_pdrop = config.embd_pdrop = config.attn_pdrop = 0.0
    settings = {"batch_size": 4, "steps": 6, "optimizer": "adamw", "other_lr": 1e-3, "log_every": 1}
    _, result = run(dataset, config, out, replace(PLAN, **settings, **changes))
    return [record["loss"] for record in result["log"]]


@pytest.fixture
def float32(monkeypatch):
    monkeypatch.setattr("modeling_santa.training.loop.step.dtype_of_products", lambda _: torch.float32)


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("changes", [{"micro_batch": 1}, {"micro_batch": 3}, {"checkpoint_activations": True}])
def test_accumulation_and_recomputation_change_nothing(dataset, tiny_config, tmp_path, changes):
    """A step in parts, of one size or not, and with activations computed again, has the same losses."""
    whole = losses_of(dataset, tiny_config, tmp_path / "whole")
    assert whole == pytest.approx(losses_of(dataset, tiny_config, tmp_path / "parts", **changes), abs=1e-5)


@pytest.mark.usefixtures("float32")
def test_out_of_memory_halves_the_micro_batch(dataset, tiny_config, tmp_path, monkeypatch, caplog):
    """Sequences that do not fit are taken in halves, with the same losses; a single one that does not fit is an error."""
    whole = losses_of(dataset, tiny_config, tmp_path / "whole")
    forward, room = LossOf.forward, [1]

    def small(self, inputs, labels, count):
        if len(inputs) > room[0]:
            raise torch.OutOfMemoryError("no room")
        return forward(self, inputs, labels, count)

    monkeypatch.setattr(LossOf, "forward", small)
    assert whole == pytest.approx(losses_of(dataset, tiny_config, tmp_path / "halved"), abs=1e-5)
    assert "out of memory; from here on 1 sequences at a time, the same 4 a step" in caplog.text
    room[0] = 0
    with pytest.raises(ValueError, match=r"1 sequences of 48 tokens at a time do not fit .* Lower --micro-batch"):
        run(dataset, tiny_config, tmp_path / "none")


def test_a_checkpoint_is_a_model_folder(dataset, tiny_config, tmp_path):
    """Any checkpoint opens with from_pretrained and gives the model's logits; only the newest are kept."""
    model, _ = run(dataset, tiny_config, tmp_path, replace(PLAN, keep=3))
    assert ["step-000004", "step-000008", "step-000012"] == sorted(path.name for path in tmp_path.glob("step-*"))
    opened = SantaForCausalLM.from_pretrained(tmp_path / "step-000012").eval()
    ids = torch.arange(20)[None]
    assert torch.equal(model.eval()(ids).logits, opened(ids).logits)


def test_the_speed_is_told_beside_what_the_machine_can_do(dataset, tiny_config, tmp_path):
    """Each step's record has tokens a second and the share of the machine's operations; the log on disk has neither."""
    records = []
    run(dataset, tiny_config, tmp_path, on_step=records.append)
    assert all(record["tokens_per_s"] > 0 and 0 < record["mfu"] < 2 for record in records)
    assert "mfu" not in (tmp_path / "loss.jsonl").read_text()


def test_the_schedule_warms_up_and_falls_to_zero():
    """The rate rises to one in 2 % of the steps and ends near zero."""
    rates = [replace(PLAN, steps=1000).rate(step) for step in range(1000)]
    assert max(rates) == 1.0
    assert rates.index(max(rates)) <= 20
    assert rates[-1] < 1e-3
