"""What a stretch of a batch plan holds against what to expect of it, for logs and for people."""

from dataclasses import dataclass

from rich.console import Console, Group
from rich.table import Table


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

    def table(self, longest: int = 20) -> Group:
        """For `rich.print`: kinds by corpus, and the `longest` pairs that are farthest from their expectation."""
        total = f"Alpha {self.alpha:.4f}, expected {self.expected_alpha:.4f}; {self.replaced} rows replaced."
        title = f"Steps {self.start:,} to {self.start + self.steps:,}, batches of {self.batch_size}"
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
        return Group(kinds, total, pairs, *(f"left out: {sentence}" for sentence in self.dropped))

    def __str__(self) -> str:
        console = Console(width=120, no_color=True)
        with console.capture() as capture:
            console.print(self.table())
        return capture.get()
