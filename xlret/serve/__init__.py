"""Serving: HTTP requests to hits, over an encoder, shards and an optional reranker that may live anywhere."""
