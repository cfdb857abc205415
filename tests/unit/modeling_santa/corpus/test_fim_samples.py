"""FIM samples: equal to a plain reference, in both modes, whoever asks and in whatever order."""

import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from modeling_santa.corpus import fim_samples
from modeling_santa.encode_santa import encode_text
from modeling_santa.fim_santa import TOKENS, split
from modeling_santa.prompt_santa import ordered_ids
from modeling_santa.tokenizer.train import (
    load_tokenizer,
    save_tokenizer,
    token_bytes,
    tokenizer_digest,
    train_tokenizer,
)

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


def pieces_of(dataset, index, epoch=0):
    """Return a sample's permuted pieces: prefix, middle and suffix as ids, and the mode."""
    inputs, labels = dataset.sample(epoch, index)
    ids = [*inputs.tolist(), int(np.where(labels[-1] < 0, dataset.pad_id, labels[-1]))]
    marks = [dataset.mark_ids[token] for token in (TOKENS.prefix, TOKENS.suffix, TOKENS.middle)]
    for at in (place for place, token in enumerate(ids) if token == marks[0]):
        yield ids[at : ids.index(dataset.end_id, at) + 1], marks


def test_documents_that_end_in_the_window_are_whole(stream, tokenizer):
    """Of permuted documents with both ends in the window, nearly all are there to their last character."""
    dataset = fim_samples.FimDataset(stream, tokenizer, seq_len=200, fim_rate=1.0, spm_rate=0.0)
    whole, seen = 0, 0
    for index in range(len(dataset)):
        pieces = list(pieces_of(dataset, index))
        for ids, (_, suffix, middle) in pieces[1:-2]:  # the last document is in two pieces
            at, mid = ids.index(suffix), ids.index(middle)
            text = tokenizer.decode([*ids[1:at], *ids[mid + 1 : -1], *ids[at + 1 : mid]])
            seen += 1
            whole += text in TEXTS
    assert seen > 15
    assert whole == seen


def test_a_long_document_s_middles_end_anywhere(tokenizer):
    """Where every window lies inside one document, half of the ends of middles stand at other places than the last."""
    text = "".join(f"total_{number} = add(total_{number - 1}, {number})\n" for number in range(4000))
    ids = np.array(tokenizer.encode(text).ids, dtype=np.uint16)
    dataset = fim_samples.FimDataset(ids, tokenizer, seq_len=128, fim_rate=1.0)
    ends = Counter()
    for index in range(200):
        inputs, labels = dataset.sample(0, index)
        ends.update(np.flatnonzero(np.append(inputs[1:], labels[-1]) == dataset.end_id).tolist())
    assert ends[127] >= 150
    early = {place: count for place, count in ends.items() if place < 127}
    assert sum(early.values()) >= 150
    assert len(early) > 40
    assert max(early.values()) < 15


@pytest.mark.parametrize(("mode", "spm_rate"), [("psm", 0.0), ("spm", 1.0)])
def test_a_sample_holds_the_ids_that_infilling_asks_with(stream, tokenizer, hf_tokenizer_of, mode, spm_rate):
    """Prompt ids of `infill(mode=…)` for the cut text, then the middle's ids and the end: the sample, id for id."""
    dataset = fim_samples.FimDataset(stream, tokenizer, seq_len=300, fim_rate=1.0, spm_rate=spm_rate, line_rate=0.5)
    seen = 0
    for index in range(len(dataset)):
        window = stream[index * 301 : (index + 1) * 301]
        cuts = np.flatnonzero(window == dataset.end_id) + 1
        inputs, labels = dataset.sample(0, index)
        sample = " ".join(map(str, [*inputs.tolist(), int(labels[-1])]))
        for start, stop in pairwise(cuts.tolist()):
            text = tokenizer.decode(window[start : stop - 1].tolist())
            place = index * 301 + start
            parts = split(text, seed=0, epoch=0, index=place, fim_rate=1.0, spm_rate=spm_rate, line_rate=0.5)
            if parts is not None:
                sides = (encode_text(hf_tokenizer_of, side) for side in (parts.prefix, parts.suffix))
                asked = ordered_ids(hf_tokenizer_of, *sides, 10_000, mode=mode)
                whole = [*asked, *encode_text(hf_tokenizer_of, parts.middle), dataset.end_id]
                is_cut = " ".join(map(str, whole)) in sample
                assert is_cut or " ".join(map(str, window[start:stop].tolist())) in sample  # no room for its sentinels
                seen += is_cut
    assert seen > 30


@pytest.fixture(scope="module")
def hf_tokenizer_of(tokenizer):
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=TOKENS.end_of_text)


def test_another_tokenizer_is_refused_and_the_saved_one_is_not(stream, tokenizer, tmp_path):
    """A tokenizer in memory and the same one saved have one digest; another of the same size has another."""
    save_tokenizer(tokenizer, tmp_path, n_positions=48)
    saved = load_tokenizer(tmp_path)
    assert tokenizer_digest(tokenizer) == tokenizer_digest(saved)
    fim_samples.FimDataset(stream, saved, seq_len=48)
    other = train_tokenizer(["import os\nprint(os.name)\n" * 9], vocab_size=300)
    with pytest.raises(ValueError, match=r"was packed with the tokenizer .*… of \d+ tokens, and this one is"):
        fim_samples.FimDataset(stream, other, seq_len=48)


def test_a_corpus_of_an_older_version_is_named(tokenizer, tmp_path):
    """Without a digest of its tokenizer it is refused, and packing does not go on with it."""
    fim_samples.pack(TEXTS, tokenizer, tmp_path, recipe="base")
    about = json.loads((tmp_path / "corpus.json").read_text())
    assert about["recipe"] == "base"
    del about["tokenizer_digest"]
    (tmp_path / "corpus.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=r"was packed by an older hf-santa, .*Pack it again"):
        fim_samples.FimDataset(fim_samples.read_tokens(tmp_path), tokenizer, seq_len=48)
    (tmp_path / "index.jsonl").write_text('{"tokenizer_sha256": "0", "shard_tokens": 9}\n')
    with pytest.raises(ValueError, match="was begun by an older hf-santa"):
        fim_samples.pack(TEXTS, tokenizer, tmp_path, resume=True)
