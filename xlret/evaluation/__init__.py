"""Exact retrieval, metrics, language bias and benchmarks: plain numpy and torch, no Ray."""
