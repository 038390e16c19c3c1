"""What a stretch of a batch plan holds against what to expect of it, for logs and for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan
from typing import Any

from rich.console import Console, Group
from rich.table import Table

from xlret.batches.shares import KindShares, Share, planned_line, shares_of


@dataclass(frozen=True)
class KindCount:
    """Steps of one kind from one corpus."""

    kind: str
    corpus: str
    steps: int
    expected: float


@dataclass(frozen=True)
class PairCount:
    """Rows of one language pair in batches of one kind from one corpus."""

    kind: str
    corpus: str
    query_lang: str
    passage_lang: str
    groups: int
    rows: int
    expected: float


@dataclass(frozen=True)
class Explanation:
    """Steps `start` to `start + steps` of a plan.

    `alpha` is the realised share of monolingual steps (NaN where steps were not walked), `replaced` the number of rows whose
    group is not the one that its pool's walk had next (batches too large for their pools), `dropped` a sentence for each pool
    and corpus that was left out.
    """

    start: int
    steps: int
    batch_size: int
    alpha: float
    expected_alpha: float
    kinds: tuple[KindCount, ...]
    pairs: tuple[PairCount, ...]
    replaced: int
    dropped: tuple[str, ...]

    @property
    def walked(self) -> bool:
        """Whether the steps were counted; else only what to expect of them is known."""
        return not isnan(self.alpha)

    @property
    def end(self) -> int:
        """The step after the last."""
        return self.start + self.steps

    @property
    def kind_shares(self) -> tuple[Share, ...]:
        """The share of the batches that each kind has, over all corpora."""
        return shares_of((count.kind, count.steps, count.expected) for count in self.kinds)

    @cached_property
    def shares(self) -> tuple[KindShares, ...]:
        """The shares of languages and of pairs within each kind of batch, over all corpora."""
        by_kind = []
        for kind in dict.fromkeys(count.kind for count in self.kinds):
            pairs = [pair for pair in self.pairs if pair.kind == kind]
            queries = shares_of((pair.query_lang, pair.rows, pair.expected) for pair in pairs)
            passages = shares_of((pair.passage_lang, pair.rows, pair.expected) for pair in pairs)
            named = shares_of((f"{pair.query_lang}>{pair.passage_lang}", pair.rows, pair.expected) for pair in pairs)
            by_kind.append(KindShares(kind, queries, passages, named))
        return tuple(by_kind)

    def planned_lines(self) -> list[str]:
        """What the batches are to hold, for a person: a line for all of them, then one to three for each kind."""
        kinds = ", ".join(f"{share.planned:.1%} {share.name}" for share in self.kind_shares)
        lines = [f"planned: {self.steps:,} batches of {self.batch_size:,} pairs: {kinds}"]
        for shares in self.shares:
            queries, passages = planned_line(shares.queries, "languages"), planned_line(shares.passages, "languages")
            pairs = planned_line(shares.pairs, "pairs")
            if shares.kind != "cross":
                lines.append(f"  {shares.kind}: {queries}")
            elif queries == passages:
                lines.append(f"  cross: {pairs}; queries and passages: {queries}")
            else:
                lines += [f"  cross: {pairs}", f"    queries: {queries}", f"    passages: {passages}"]
        return lines

    def as_json(self) -> dict[str, Any]:
        """Planned and realised shares as JSON values; realised ones and counts are null where the steps were not walked."""

        def if_walked(value: float) -> float | None:
            return value if self.walked else None

        def values(shares: Sequence[Share]) -> dict[str, dict[str, float | None]]:
            return {
                share.name: {
                    "planned": share.planned,
                    "realised": if_walked(share.realised),
                    "count": if_walked(share.count),
                }
                for share in shares
            }

        return {
            "batches": self.steps,
            "batch_size": self.batch_size,
            "alpha": {"planned": self.expected_alpha, "realised": if_walked(self.alpha)},
            "replaced_rows": if_walked(self.replaced),
            "left_out": list(self.dropped),
            "kinds": values(self.kind_shares),
            "query_languages": {shares.kind: values(shares.queries) for shares in self.shares},
            "passage_languages": {shares.kind: values(shares.passages) for shares in self.shares},
            "pairs": {shares.kind: values(shares.pairs) for shares in self.shares},
        }

    def language_table(self) -> Table:
        """For `rich.print`: the planned and the realised share of each language in the rows of each kind and side."""
        table = Table("language", title="Languages, planned and realised")
        titles, rows = self.language_rows()
        for title in titles:
            table.add_column(title, justify="right")
        for lang, shares in rows:
            table.add_row(lang, *(f"{share.planned:.1%} {share.realised:6.1%}" if share else "-" for share in shares))
        return table

    def language_rows(self) -> tuple[list[str], list[tuple[str, list[Share | None]]]]:
        """Titles of the columns, a kind and side each; and the shares of each language in them, None where it has no part."""
        columns = {f"{shares.kind} {side}": part for shares in self.shares for side, part in shares.sides}
        named = {title: {share.name: share for share in part} for title, part in columns.items()}
        langs = sorted({share.name for part in columns.values() for share in part})
        return list(columns), [(lang, [shares.get(lang) for shares in named.values()]) for lang in langs]

    def table(self, longest: int = 20) -> Group:
        """For `rich.print`: kinds by corpus, languages, and the `longest` pairs that are farthest from their expectation."""
        total = f"Alpha {self.alpha:.4f}, expected {self.expected_alpha:.4f}; {self.replaced} rows replaced."
        title = f"Steps {self.start:,} to {self.end:,}, batches of {self.batch_size}"
        kinds = Table("corpus", "kind", title=title)
        for name in ("steps", "expected"):
            kinds.add_column(name, justify="right")
        for kind in self.kinds:
            kinds.add_row(kind.corpus, kind.kind, f"{kind.steps:,}", f"{kind.expected:,.1f}")
        ordered = sorted(self.pairs, key=lambda pair: -abs(pair.rows - pair.expected))
        title = (
            "Language pairs" if len(ordered) <= longest else f"The {longest} of {len(ordered):,} language pairs farthest off"
        )
        pairs = Table("corpus", "kind", "query", "passage", title=title)
        for name in ("groups", "rows", "expected", "epochs"):
            pairs.add_column(name, justify="right")
        for pair in ordered[:longest]:
            numbers = (f"{pair.groups:,}", f"{pair.rows:,}", f"{pair.expected:,.1f}", f"{pair.rows / pair.groups:.2f}")
            pairs.add_row(pair.corpus, pair.kind, pair.query_lang, pair.passage_lang, *numbers)
        return Group(kinds, total, self.language_table(), pairs, *(f"left out: {sentence}" for sentence in self.dropped))

    def __str__(self) -> str:
        console = Console(width=120, no_color=True)
        with console.capture() as capture:
            console.print(self.table())
        return capture.get()
