"""xlret: zero-shot cross-lingual retrieval, trained on code-switched text and hybrid batches, on Ray."""

__version__ = "0.1.0"
