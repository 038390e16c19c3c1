"""R@2kt and R@5kt of XOR-Retrieve (Asai et al. 2021): an answer within the first 2,000 or 5,000 tokens of what is retrieved."""

from collections.abc import Callable, Sequence

import numpy as np

from xlret.errors import UserError
from xlret.evaluation.sets import Answers
from xlret.shapes import FloatArray, IntArray

BUDGETS = {"R@2kt": 2000, "R@5kt": 5000}
"""Tokens of the passages, one after the other."""
DEPTH = 100
"""Passages of each query that are read: 5,000 tokens are some fifty passages of a hundred words."""


def answer_recalls(answers: Answers, passage_texts: Sequence[str], top_QK: IntArray) -> dict[str, FloatArray]:
    """For each query 1 where one of its answers is within the budget, else 0; NaN without an answer. Shape [Q] each.

    As the authors' script: passages are cut into tokens one by one (NLTK's), the tokens joined by spaces, and an answer is
    there if it is a part of that, case and all; `yes` and `no` are no answers. Sentences are told apart by NLTK's rules without
    the abbreviations of its English model, which would have to be downloaded: `Dr.` is two tokens here and one there.

    Args:
        answers: of each query.
        passage_texts: of the pool.
        top_QK: the best passages of each query, best first, -1 behind the end; `DEPTH` of them are read.

    Raises:
        UserError: NLTK is not installed.
    """
    tokens_of = _tokeniser()
    known: dict[int, list[str]] = {}
    recalls = {name: np.full(len(answers.strings), np.nan) for name in BUDGETS}
    longest = max(BUDGETS.values())
    for row, strings in enumerate(answers.strings):
        strings = tuple(answer for answer in strings if answer.lower() not in ("yes", "no"))
        if not strings:
            continue
        tokens: list[str] = []
        for passage in (number for number in top_QK[row, :DEPTH].tolist() if number >= 0):
            if passage not in known:
                known[passage] = tokens_of(passage_texts[passage][answers.text_starts[passage] :])
            tokens += known[passage]
            if len(tokens) >= longest:
                break
        for name, budget in BUDGETS.items():
            text = " ".join(tokens[:budget])
            recalls[name][row] = float(any(answer in text for answer in strings))
    return recalls


def _tokeniser() -> Callable[[str], list[str]]:
    try:
        from nltk.tokenize import NLTKWordTokenizer
        from nltk.tokenize.punkt import PunktSentenceTokenizer
    except ImportError as error:
        raise UserError("XOR-Retrieve counts the tokens of NLTK: pip install 'xlret[lexical]'") from error
    sentences, words = PunktSentenceTokenizer(), NLTKWordTokenizer()
    return lambda text: [token for sentence in sentences.tokenize(text) for token in words.tokenize(sentence)]
