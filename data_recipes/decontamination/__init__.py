"""Find strings of benchmarks, such as HumanEval, in training data."""
