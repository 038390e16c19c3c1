"""Mining hard negatives: passages that look like answers and are none.

settings.py    what a mining can be told
candidates.py  the best passages of a query, by an encoder's index or BM25
choose.py      which of them are negatives
run.py         from a corpus to one with hard negatives, and a table of what was mined
"""
