"""From nothing to a cross-lingual search: corpus, training, evaluation, index, search (ten_lines.ipynb is the same)."""

from pathlib import Path

import xlret
from xlret.data.atlas import build_atlas

# Facts of Unicode CLDR in 14 languages. For data of your own: xlret.Corpus.from_rows(rows).
build_atlas(Path("atlas"), replace=True)
small = {"vocabulary": 8000, "layers": 2, "hidden": 128, "heads": 4, "feed_forward": 256}
start = {"start": "fresh", "fresh": small, "max_query_tokens": 32, "max_passage_tokens": 48}
switch = {"policy": "ml", "lexicons": ["atlas/lexicon"]}
trained = xlret.train(start, "atlas/train", plan={"alpha": 0.3}, switch=switch, steps=200, optimiser={"learning_rate": 3e-3})
[scores] = xlret.evaluate(trained.encoder, "atlas/test", groups=60)
print(f"mAP within a language {scores.mo:.3f}, across {scores.cr:.3f}, over all at once {scores.mul:.3f}")
index = xlret.Index.build(trained.encoder, xlret.Corpus.open(Path("atlas/test")))
for hit in index.search("Which currency is legal tender in Kenya?", k=5, balance="quota"):
    print(f"{hit.score:.3f}  {hit.lang}  {hit.text}")
