"""What a stretch of a batch plan holds against what to expect of it, for logs and for people."""

from dataclasses import dataclass

from rich.console import Console, Group
from rich.table import Table

from xlret.text.sides import Side


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
class LanguageCount:
    """Rows of one language, as query or passage, in batches of one kind from all corpora."""

    kind: str
    side: Side
    lang: str
    rows: int
    expected: float


@dataclass(frozen=True)
class Explanation:
    """Steps `start` to `start + steps` of a plan.

    `alpha` is the realised share of monolingual steps, `replaced` the number of rows whose group is not the one that its pool's
    walk had next (batches too large for their pools), `dropped` a sentence for each pool and corpus that was left out.
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
    def end(self) -> int:
        """The step after the last."""
        return self.start + self.steps

    @property
    def languages(self) -> tuple[LanguageCount, ...]:
        """Rows of each language by kind and side, over all corpora."""
        sums: dict[tuple[str, Side, str], tuple[int, float]] = {}
        for pair in self.pairs:
            sides: tuple[tuple[Side, str], ...] = (("query", pair.query_lang), ("passage", pair.passage_lang))
            for side, lang in sides:
                rows, expected = sums.get((pair.kind, side, lang), (0, 0.0))
                sums[pair.kind, side, lang] = rows + pair.rows, expected + pair.expected
        return tuple(LanguageCount(*key, *numbers) for key, numbers in sorted(sums.items()))

    def language_table(self) -> Table:
        """For `rich.print`: the planned and the realised share of each language in the rows of each kind and side."""
        table = Table("language", title="Languages, planned and realised")
        rows: dict[str, list[str]] = {count.lang: [] for count in sorted(self.languages, key=lambda count: count.lang)}
        for kind, side in dict.fromkeys((count.kind, count.side) for count in self.languages):
            table.add_column(f"{kind} {side}", justify="right")
            column = {count.lang: count for count in self.languages if (count.kind, count.side) == (kind, side)}
            planned = sum(count.expected for count in column.values()) or 1.0  # a kind may be planned for later steps
            realised = sum(count.rows for count in column.values()) or 1
            for lang, cells in rows.items():
                count = column.get(lang)
                cells.append(f"{count.expected / planned:.1%} {count.rows / realised:6.1%}" if count else "-")
        for lang, cells in rows.items():
            table.add_row(lang, *cells)
        return table

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
