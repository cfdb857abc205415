"""Train models: fine-tuning, a small loop for CPU and GPU, and nanotron."""
