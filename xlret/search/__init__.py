"""Passages to vectors to an index that is searched: bulk encoding, shards, exact merge, filters and language balance."""
