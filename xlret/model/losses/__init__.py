"""Training objectives, one idea per file.

    base.py       what a loss is: `Embeddings` of a batch in, a scalar and named parts out
    infonce.py    InfoNCE over cosine with the negatives of all processes, group masking, fixed or learned temperature
    xlco.py       each text finds its translation among those of the batch
    mimo.py       a teacher's space for all languages, mixed with xlco
    lakda.py      a query and its translation rank the batch's passages alike
    clear.py      InfoNCE, back to translated queries, and agreement of the two
    jensen_shannon.py  texts and translations as distributions
    four_way.py   InfoNCE in four directions, harder negatives counting more
    rank_distillation.py, margin_mse.py  a reranker's scores of hard negatives (`reranked.py`: what they share)
    spread.py     a loss, and vectors spread over the sphere
    beside.py     one of these beside InfoNCE
    make.py       settings to loss
    rows.py       what they share
    contrast.py   a loss, and the same between queries and their code-switched copies
    matryoshka.py a loss over the beginnings of vectors too, so that they may be cut short

A loss sees vectors and no encoder, so that it can be tested on plain tensors, cached and wrapped. What it can be told stands
in `settings.py`.
"""
