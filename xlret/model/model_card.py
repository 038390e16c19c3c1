"""`README.md` of a saved encoder: how to use it, and how it was made and how good it is where that is known."""

import json
from collections.abc import Sequence

from xlret.model.card_facts import SetResult, Training
from xlret.model.card_head import card_head
from xlret.model.card_sections import evaluation_section, licence_section, training_section
from xlret.tokens.card import EncoderCard

_TEXT = """\
# An encoder of queries and passages

Made by xlret: texts to unit vectors of {dimension} numbers, {pooling} pooling, compared by cosine.

| | text before each | tokens kept |
|---|---|---|
| queries | `{query_prompt}` | {max_query_tokens} |
| passages | `{passage_prompt}` | {max_passage_tokens} |

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer({where})
queries, passages = model.encode_query(texts), model.encode_document(texts)
```

```python
from xlret import Encoder

encoder = Encoder.load({where})
queries, passages = encoder.encode(texts, "query"), encoder.encode(texts, "passage")
```

Both give the same vectors, and so does `encode` with `prompt_name` `query` or `document`{exception}.
"""
_EXCEPTION = """,
**except for {side} of more tokens than the table says**: `encode` does not know whose texts it gets and cuts all of them at
{longest} tokens, and so do tools that call it. MTEB 2.26 calls `encode_query` and `encode_document`: its numbers are those
of `xlret evaluate`. The limit of each side (`query_length`, `document_length` in sentence_bert_config.json) needs
sentence-transformers 6; an older release cuts both sides at {longest}"""
_DIMENSIONS = "\nVectors may be cut to their first {dimensions} numbers and normalised again.\n"


def model_card(
    card: EncoderCard,
    dimension: int,
    training: Training | None = None,
    results: Sequence[SetResult] = (),
    *,
    name: str | None = None,
    licence: str | None = None,
) -> str:
    """A model card in the hub's form, the same for the same arguments.

    Args:
        card: prompts and length limits.
        dimension: numbers of a vector.
        training: how a run made the encoder, where one did.
        results: how good it is.
        name: USER/NAME on the hub, where it is to be there.
        licence: the hub's identifier, such as `apache-2.0`; by default what is known of data and start, else `other`.
    """
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
        where="path" if name is None else json.dumps(name),
        exception=exception,
    )
    sections = [text + (_DIMENSIONS.format(dimensions=", ".join(map(str, card.dimensions))) if card.dimensions else "")]
    if training is not None:
        sections.append(training_section(training))
    if results:
        sections.append(evaluation_section(results))
    if training is not None or licence is not None:
        sections.append(licence_section(training, licence))
    return card_head(training, results, name=name, licence=licence) + "\n" + "\n".join(sections)
