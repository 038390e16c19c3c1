"""From files to batches: the parallel corpus, the batch plan, assembling, and the Ray Data stream."""
