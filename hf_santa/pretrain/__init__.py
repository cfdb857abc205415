"""The command `hf-santa pretrain`: source code and a time in, a model folder out."""
