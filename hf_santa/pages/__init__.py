"""Charts and styles that the demo's and the ablation's pages share."""
