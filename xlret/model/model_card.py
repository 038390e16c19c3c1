"""`README.md` of a saved encoder: how to use it from sentence-transformers, and where that differs from xlret."""

import json

from xlret.tokens.card import EncoderCard

_TEXT = """\
---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags:
- xlret
---

# An encoder of queries and passages

Made by xlret: texts to unit vectors of {dimension} numbers, {pooling} pooling, compared by cosine.

| | text before each | tokens kept |
|---|---|---|
| queries | `{query_prompt}` | {max_query_tokens} |
| passages | `{passage_prompt}` | {max_passage_tokens} |

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(path)
queries, passages = model.encode_query(texts), model.encode_document(texts)
```

These give the vectors that xlret gives, and so does `encode` with `prompt_name` `query` or `document`{exception}.
"""
_EXCEPTION = """,
**except for {side} of more tokens than the table says**: `encode` does not know whose texts it gets and cuts all of them at
{longest} tokens, and so do tools that call it. MTEB 2.26 calls `encode_query` and `encode_document`: its numbers are those
of `xlret evaluate`. The limit of each side (`query_length`, `document_length` in sentence_bert_config.json) needs
sentence-transformers 6; an older release cuts both sides at {longest}"""
_DIMENSIONS = "\nVectors may be cut to their first {dimensions} numbers and normalised again.\n"


def model_card(card: EncoderCard, dimension: int) -> str:
    """A model card in the hub's form, the same for the same card."""
    exception = ""
    if card.max_query_tokens != card.max_passage_tokens:
        side = "queries" if card.max_query_tokens < card.max_passage_tokens else "passages"
        exception = _EXCEPTION.format(side=side, longest=max(card.max_query_tokens, card.max_passage_tokens))
    text = _TEXT.format(
        dimension=dimension,
        pooling=card.pooling,
        query_prompt=json.dumps(card.query_prompt, ensure_ascii=False),
        passage_prompt=json.dumps(card.passage_prompt, ensure_ascii=False),
        max_query_tokens=card.max_query_tokens,
        max_passage_tokens=card.max_passage_tokens,
        exception=exception,
    )
    return text + (_DIMENSIONS.format(dimensions=", ".join(map(str, card.dimensions))) if card.dimensions else "")
