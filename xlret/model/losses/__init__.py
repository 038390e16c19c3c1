"""Training objectives, one idea per file.

    infonce.py    InfoNCE over cosine with the negatives of all processes, group masking, fixed or learned temperature
    matryoshka.py a loss over the beginnings of vectors too, so that they may be cut short

A loss is a module over vectors: `from_embeddings(query_bD, passage_bD, cluster_b, negative_bHD, negative_cluster_bH)` gives a
scalar, the mean over this process's rows, so that it can be tested without an encoder, cached and wrapped. What losses
can be told is in settings.py.
"""
