"""The heart: which pairs make up each batch, and how they become tensors."""
