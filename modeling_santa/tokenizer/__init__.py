"""The byte-level BPE tokenizer: training and a fast encoder."""
