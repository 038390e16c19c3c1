"""Training objectives, one idea per file.

    base.py       what a loss is: `Embeddings` of a batch in, a scalar and named parts out
    infonce.py    InfoNCE over cosine with the negatives of all processes, group masking, fixed or learned temperature
    contrast.py   a loss, and the same between queries and their code-switched copies
    matryoshka.py a loss over the beginnings of vectors too, so that they may be cut short

A loss sees vectors and no encoder, so that it can be tested on plain tensors, cached and wrapped. What it can be told stands
in `settings.py`.
"""
