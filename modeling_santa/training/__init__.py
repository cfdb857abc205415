"""From text to trained weights: tokenizer, packed corpus, FIM loading, the small CPU loop."""
