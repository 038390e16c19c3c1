"""One small file per public data set: its published format in, a parallel corpus out."""
