"""`README.md` of a saved encoder: how to use it from sentence-transformers, and where that differs from xlret."""

import json

from xlret.tokens.card import EncoderCard


def model_card(card: EncoderCard, dimension: int) -> str:
    """A model card in the hub's form, the same for the same card."""
    lines = [
        *("---", "library_name: sentence-transformers", "pipeline_tag: sentence-similarity", "tags:", "- xlret", "---", ""),
        *("# An encoder of queries and passages", ""),
        f"Made by xlret: texts to unit vectors of {dimension} numbers, {card.pooling} pooling, compared by cosine.",
        *("", "| | text before each | tokens kept |", "|---|---|---|"),
        f"| queries | `{json.dumps(card.query_prompt, ensure_ascii=False)}` | {card.max_query_tokens} |",
        f"| passages | `{json.dumps(card.passage_prompt, ensure_ascii=False)}` | {card.max_passage_tokens} |",
        *("", "```python", "from sentence_transformers import SentenceTransformer", ""),
        *(
            "model = SentenceTransformer(path)",
            "queries, passages = model.encode_query(texts), model.encode_document(texts)",
            "```",
        ),
        *(
            "",
            "These give the vectors that xlret gives, and so does `encode(texts, prompt_name=...)` with `query` or `document`",
        ),
    ]
    if card.max_query_tokens == card.max_passage_tokens:
        lines[-1] += "."
    else:
        longest = max(card.max_query_tokens, card.max_passage_tokens)
        side = "queries" if card.max_query_tokens < card.max_passage_tokens else "passages"
        lines[-1] += ","
        lines += [
            f"**except for {side} of more tokens than the table says**: `encode` does not know whose texts it gets and cuts all",
            f"of them at {longest} tokens, and so do tools that call it, such as some versions of MTEB. The limit of each side",
            "(`query_length`, `document_length`) needs sentence-transformers 6.",
        ]
    if card.dimensions:
        lengths = ", ".join(map(str, card.dimensions))
        lines += ["", f"Vectors may be cut to their first {lengths} numbers and normalised again."]
    return "\n".join(lines) + "\n"
