"""FIM samples: equal to a plain reference, in both modes, whoever asks and in whatever order."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_santa.corpus import fim_samples
from modeling_santa.fim_santa import TOKENS, split
from modeling_santa.tokenizer.train import token_bytes

TEXTS = [f"def f_{n}(a):\n    return a + {n}  # caf\u00e9 \U0001f600\n" * (n % 4) for n in range(120)]


@pytest.fixture(scope="module")
def stream(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    fim_samples.pack(TEXTS, tokenizer, folder, shard_tokens=700)
    return fim_samples.read_tokens(folder)


def megatron_reference(window, tokenizer, start, epoch, dataset):
    """The report's procedure, step by step, on lists."""
    end = tokenizer.token_to_id(TOKENS.end_of_text)
    raw = token_bytes(tokenizer)

    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    def permuted(segment, at):
        text = b"".join(raw[token] for token in segment).decode(errors="replace")
        parts = split(text, seed=dataset.seed, epoch=epoch, index=at, fim_rate=dataset.fim_rate)
        if parts is None:
            return segment
        marks = [tokenizer.token_to_id(token) for token in (TOKENS.prefix, TOKENS.suffix, TOKENS.middle)]
        prefix, middle, suffix = (encode(text) for text in (parts.prefix, parts.middle, parts.suffix))
        if parts.mode == "spm":
            return [marks[0], marks[1], *suffix, marks[2], *prefix, *middle]
        return [marks[0], *prefix, marks[1], *suffix, marks[2], *middle]

    ids, at = [], 0
    for place, token in enumerate(window):
        if token == end:
            if place > at:
                ids += [*permuted(window[at:place], start + at), end]
            at = place + 1
    ids += permuted(window[at:], start + at)
    pad = tokenizer.token_to_id(TOKENS.pad)
    return (ids + [pad] * len(window))[: len(window)]


@pytest.mark.parametrize("seq_len", [16, 48, 300])
def test_megatron_s_mode_is_the_report_s_procedure(stream, tokenizer, seq_len):
    """Each sample of two epochs equals the reference written here; padding carries loss, as it did there."""
    dataset = fim_samples.FimDataset(stream, tokenizer, seq_len=seq_len, seed=3, fim_rate=0.7, mode="megatron")
    for epoch in range(2):
        for index in range(len(dataset)):
            start = index * (seq_len + 1)
            window = stream[start : start + seq_len + 1].tolist()
            expected = megatron_reference(window, tokenizer, start, epoch, dataset)
            inputs, labels = dataset.sample(epoch, index)
            assert (expected[:-1], expected[1:]) == (inputs.tolist(), labels.tolist())


def test_unpermuted_parts_come_back_from_a_whole_sample(stream, tokenizer):
    """Where a permuted piece lost nothing, prefix + middle + suffix is the text of its window, in both orders."""
    dataset = fim_samples.FimDataset(stream, tokenizer, seq_len=300, fim_rate=1.0)
    prefix, middle, suffix = (tokenizer.token_to_id(token) for token in (TOKENS.prefix, TOKENS.middle, TOKENS.suffix))
    seen = {"psm": 0, "spm": 0}
    documents = "\0".join(TEXTS)
    for index in range(len(dataset)):
        inputs, labels = dataset.sample(0, index)
        ids = [*inputs.tolist(), int(labels[-1])]
        for at in (place for place, token in enumerate(ids) if token == prefix):
            piece = ids[at : ids.index(dataset.end_id, at)]
            parts = piece[1 : piece.index(suffix)], piece[piece.index(suffix) + 1 : piece.index(middle)]
            rest = tokenizer.decode(piece[piece.index(middle) + 1 :])
            before, after = (tokenizer.decode(part) for part in parts)
            mode = "psm" if before else "spm"
            seen[mode] += 1
            assert before + rest in documents
            assert rest + after in documents or mode == "psm"
    assert min(seen.values()) > 3


@given(st.integers(0, 5), st.integers(0, 40), st.sampled_from([20, 100]), st.sampled_from(["whole", "megatron"]))
@settings(max_examples=60, deadline=None)
def test_the_length_is_exact(stream, tokenizer, epoch, index, seq_len, mode):
    """Every sample has seq_len inputs and labels, and every id is the tokenizer's."""
    dataset = fim_samples.FimDataset(stream, tokenizer, seq_len=seq_len, fim_rate=1.0, mode=mode)
    inputs, labels = dataset.sample(epoch, index % len(dataset))
    assert (seq_len, seq_len) == (len(inputs), len(labels))
    assert inputs.max() < tokenizer.get_vocab_size(with_added_tokens=True)


def test_workers_change_nothing(stream, tokenizer):
    """A DataLoader with two worker processes gives the samples of one process; indices run on into the next epoch."""
    dataset = fim_samples.FimDataset(stream, tokenizer, seq_len=48)
    order = [3, 1, len(dataset) + 1, 0]
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=2, sampler=order, num_workers=2, multiprocessing_context="spawn"
    )
    found = [row.tolist() for inputs, _ in loader for row in inputs]
    expected = [dataset.sample(at // len(dataset), at % len(dataset))[0].tolist() for at in order]
    assert expected == found


def test_what_does_not_fit_is_named(stream, tokenizer):
    """An unknown mode, and a corpus packed with a larger tokenizer."""
    with pytest.raises(ValueError, match=r"mode='fim' is unknown\. Choose one of whole, megatron"):
        fim_samples.FimDataset(stream, tokenizer, seq_len=48, mode="fim")
    foreign = np.full(100, 9000, dtype=np.uint16)
    with pytest.raises(ValueError, match="sample 0 holds the token 9000, but the tokenizer has"):
        fim_samples.FimDataset(foreign, tokenizer, seq_len=48).sample(0, 0)
