"""What code-switching gives back: the text, how much of it was switched, and where."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from xlret.switch.units import Unit


class Span(NamedTuple):
    """A switched stretch of a text.

    A space that had to be added beside the new words, or that went away, belongs to the span. So the text outside spans
    is that of the input, byte by byte, and with each span's `original` in place the input is there again.
    """

    start: int
    stop: int
    lang: str
    original: str
    words: int


Change = tuple[int, int, str, bool]
"""Units that a replacement stands for: the first, the last (inclusive), the language, and whether the space after went away."""


@dataclass(frozen=True)
class Switched:
    """A code-switched text.

    `words` counts the words that could be switched (none for a language without a lexicon), `switched` those that were;
    a word that translates to itself was not.
    """

    text: str
    words: int
    switched: int
    _units: Sequence[Unit] = field(default=(), repr=False, compare=False)
    _after: Sequence[str] = field(default=(), repr=False)
    _changes: Sequence[Change] = field(default=(), repr=False)

    @property
    def ratio(self) -> float:
        """Switched words / words; 0 for a text without words."""
        return self.switched / self.words if self.words else 0.0

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """Where the text was switched, in its order; worked out at the first look."""
        spans, here, done = [], 0, 0
        for first, last, lang, closed in self._changes:
            here += sum(map(len, self._after[done:first]))
            done = last + 1
            stop = here + sum(map(len, self._after[first:done]))
            lead, trail = self._units[first].lead, self._units[last].trail - closed
            original = "".join(unit.text for unit in self._units[first:done])
            words = sum(unit.is_word for unit in self._units[first:done])
            spans.append(Span(here + lead, stop - trail, lang, original[lead : len(original) - trail], words))
            here = stop
        return tuple(spans)

    def pieces(self) -> list[tuple[str, Span | None]]:
        """The text cut where spans begin and end, each piece with its span; None for what was left as it is."""
        pieces: list[tuple[str, Span | None]] = []
        done = 0
        for span in self.spans:
            pieces += [(self.text[done : span.start], None), (self.text[span.start : span.stop], span)]
            done = span.stop
        return [*pieces, (self.text[done:], None)]

    def restored(self) -> str:
        """The text before switching, from `text` and `spans`."""
        return "".join(text if span is None else span.original for text, span in self.pieces())
