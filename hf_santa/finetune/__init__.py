"""The command `hf-santa finetune`: a model folder and source code in, a canonical folder out."""
