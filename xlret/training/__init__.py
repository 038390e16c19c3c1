"""Ray Train: the training run, its checkpoints and its recovery."""
