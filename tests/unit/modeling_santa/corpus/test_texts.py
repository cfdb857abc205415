"""Texts of whatever holds source code."""

import logging

import pytest

from modeling_santa.corpus.texts import read_texts
from modeling_santa.errors_santa import ModelError


def test_a_plain_folder_is_read_with_a_warning_that_nothing_was_redacted(tmp_path, caplog):
    """Its text files are given in order, and the log says what was not done to them."""
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "b.bin").write_bytes(b"\0\1")
    with caplog.at_level(logging.WARNING, "hf_santa.model"):
        assert list(read_texts(tmp_path)) == ["x = 1\n"]
    assert "no personal data is redacted" in caplog.text


def test_a_recipe_of_a_plain_folder_is_an_error_that_says_how_to_make_a_store(tmp_path):
    """Only a folder that `data run` wrote has recipes."""
    (tmp_path / "a.py").write_text("x = 1\n")
    with pytest.raises(ModelError, match=r"has no recipe 'final': .*`hf-santa data run .* OUT --recipe final`"):
        list(read_texts(tmp_path, recipe="final"))
