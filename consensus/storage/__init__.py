"""Journal and checkpoint: what a node finds again after a crash."""
