"""The same fact in another language: which translation stands beside each text of a batch, where a loss compares the two."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xlret.data.corpus import ParallelCorpus
from xlret.keys import generator
from xlret.shapes import IntArray
from xlret.text.sides import Side


@dataclass(frozen=True)
class ParallelInputs:
    """What a batch holds beside its pairs."""

    pivot: str
    """The language through which the others are aligned, and which a teacher reads."""
    sides: tuple[Side, ...]
    """Whose translations come along."""
    teachers: tuple[Path, ...] = ()
    """A teacher's vectors of the pivot language, for each corpus; none where the loss has no teacher."""


def parallel_languages(
    corpus: ParallelCorpus,
    side: Side,
    langs: Sequence[str],
    groups: IntArray,
    allowed: Sequence[str],
    pivot: str,
    key: tuple[int | str, ...],
    first_row: int,
) -> tuple[str, ...]:
    """For each row the language of the translation of its text, "" where the group has none in another language.

    A text in another language stands beside that of the pivot language, where the group has it; a text in the pivot language
    beside a drawn one. The draw is a function of (key, row): it depends neither on other rows nor on how rows are shared out.

    Args:
        corpus: whose groups they are.
        side: queries or passages.
        langs: the language of each row's text.
        groups: the group of each row.
        allowed: languages that the run trains on.
        pivot: one of them.
        key: seed and step.
        first_row: number of the first of these rows in the batch.

    Cost: O(allowed) membership tests of all rows at once, and 10 microseconds for each row whose language is drawn.
    """
    ordered = sorted(allowed)
    has_LB = np.stack([corpus.side(side, lang).rank_of(groups) >= 0 for lang in ordered])
    chosen = []
    for row, lang in enumerate(langs):
        others = [other for other, has in zip(ordered, has_LB[:, row], strict=True) if has and other != lang]
        if not others:
            chosen.append("")
        elif pivot in others:
            chosen.append(pivot)
        else:
            draw = generator(*key, "parallel", side, first_row + row).integers(len(others))
            chosen.append(others[int(draw)])
    return tuple(chosen)
