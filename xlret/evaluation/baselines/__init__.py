"""Rankings that need no encoder: BM25, any TREC run, and several rankings fused."""
