"""Shares of a whole, planned and realised: of kinds of batch, of languages, of language pairs."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xlret.text.sides import Side

_LISTED = 8
"""Shares that are written out where they are not equal."""


@dataclass(frozen=True)
class Share:
    """The part of a whole, 0 to 1, that a kind of batch, a language or a pair was to have, and has."""

    name: str
    planned: float
    realised: float
    count: int
    """What `realised` is a share of: batches for a kind, rows for a language or pair."""


@dataclass(frozen=True)
class KindShares:
    """What the rows of one kind of batch hold, over all corpora. The shares of each tuple sum to 1."""

    kind: str
    queries: tuple[Share, ...]
    """Languages of the queries."""
    passages: tuple[Share, ...]
    """Languages of the passages."""
    pairs: tuple[Share, ...]
    """Named `query>passage`."""

    @property
    def sides(self) -> tuple[tuple[Side, tuple[Share, ...]], ...]:
        """The languages of both sides, each with its name."""
        return ("query", self.queries), ("passage", self.passages)


def shares_of(counted: Iterable[tuple[str, int, float]]) -> tuple[Share, ...]:
    """From (name, count, expected count), names in alphabetical order; a name that comes again is added up.

    >>> [(share.name, share.planned, share.realised) for share in shares_of([("en", 1, 2.0), ("de", 3, 2.0)])]
    [('de', 0.5, 0.75), ('en', 0.5, 0.25)]
    """
    sums: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
    for name, count, expected in counted:
        sums[name] = sums[name][0] + count, sums[name][1] + expected
    all_counts = sum(count for count, _ in sums.values()) or 1
    all_expected = sum(expected for _, expected in sums.values()) or 1.0  # a kind may be planned for later steps alone
    return tuple(
        Share(name, expected / all_expected, count / all_counts, count) for name, (count, expected) in sorted(sums.items())
    )


def planned_line(shares: Sequence[Share], plural: str) -> str:
    """Planned shares in a line: one number where they are equal, else the largest by name and the smallest.

    >>> planned_line(shares_of([("de", 0, 5.0), ("en", 0, 5.0)]), "languages")
    '2 languages, each 50.0%'
    >>> planned_line(shares_of([("de", 0, 1.0), ("en", 0, 3.0)]), "languages")
    '2 languages: en 75.0%, de 25.0%'
    """
    ordered = sorted(shares, key=lambda share: -share.planned)
    if ordered[0].planned - ordered[-1].planned < 1e-9:
        return f"{len(ordered)} {plural}, each {ordered[0].planned:.1%}"
    named = ", ".join(f"{share.name} {share.planned:.1%}" for share in ordered[:_LISTED])
    least = f", ... {ordered[-1].name} {ordered[-1].planned:.1%}" if len(ordered) > _LISTED else ""
    return f"{len(ordered)} {plural}: {named}{least}"
