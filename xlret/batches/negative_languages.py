"""In which language each hard negative of a batch stands."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from xlret.data.corpus import ParallelCorpus
from xlret.keys import generator
from xlret.shapes import IntArray

NegativeLanguage = Literal["passage", "other", "balanced"]


def negative_languages(
    corpus: ParallelCorpus,
    groups_bH: IntArray,
    passage_langs: Sequence[str],
    allowed: Sequence[str],
    way: NegativeLanguage,
    key: tuple[int | str, ...],
    first_row: int,
) -> NDArray[Any]:
    """[b*H] The language of each negative, drawn among those that its group has a passage in; a function of (key, row) alone.

    A negative in its positive's language alone teaches that what is in another language is no rival; one drawn evenly is as
    likely in each. Where a group has no other language it stands in the positive's, and is missing if it lacks that too.

    Args:
        corpus: whose groups they are.
        groups_bH: groups of the negatives, -1 where missing.
        passage_langs: language of each row's positive.
        allowed: languages that the run trains on.
        way: `passage`: the positive's; `other`: any but the positive's; `balanced`: any, all with equal chance.
        key: seed and step.
        first_row: number of the first of these rows in the batch.
    """
    ordered = sorted(allowed)
    has_LN = np.stack([corpus.side("passage", lang).rank_of(groups_bH.reshape(-1)) >= 0 for lang in ordered])
    count = groups_bH.shape[1]
    chosen = np.repeat(np.array(passage_langs, dtype=object), count)
    if way == "passage":
        return chosen
    for row, lang in enumerate(passage_langs):
        draws = generator(*key, "negative language", first_row + row).random((count,))
        for number in range(count):
            position = row * count + number
            known = [known for known, has in zip(ordered, has_LN[:, position], strict=True) if has]
            known = [other for other in known if way == "balanced" or other != lang]
            if known:
                chosen[position] = known[int(draws[number] * len(known))]
    return chosen
