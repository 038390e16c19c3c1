"""What taking the language out of vectors does to rankings: every text is encoded once, all methods use the same vectors.

    python -m jobs.bench.debias ENCODER KEPT --benchmark xquad-r --data DATA --texts ntrex=corpora/ntrex/train \\
        --dev corpora/ntrex/dev

`KEPT` gets the vectors, and a further run reads them there.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console

from xlret.commands.frame import Languages, call, new_app, run
from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.evaluation.balance_effect import calibration_of
from xlret.evaluation.balanced_ranking import BalancedRanking
from xlret.evaluation.benchmarks import benchmark as benchmark_named
from xlret.evaluation.debias.choice import candidates, trials, without_language
from xlret.evaluation.evaluate import Evaluation, evaluate
from xlret.evaluation.measure import Method as Encoding
from xlret.evaluation.measure import encoded
from xlret.evaluation.sets import RetrievalSet, from_corpus
from xlret.evaluation.significance import bootstrap_interval, holm, randomisation_test
from xlret.keys import generator
from xlret.model.debias.component import METHODS, LanguageComponent
from xlret.model.debias.estimate import component_from, language_means
from xlret.model.encoder import Encoder
from xlret.search.balance import BALANCES, Balance
from xlret.shapes import FloatArray, FloatMatrix
from xlret.text.sides import Side

app = new_app("python -m jobs.bench.debias", "Measures ways of taking the language out of vectors, on vectors kept once.")
SIZES = (100, 300, 1000)
TABLES = ("methods", "domain", "together", "sizes", "missing", "dev")


@dataclass(frozen=True)
class Kept:
    """An encoder whose vectors are kept in a directory by what they are of."""

    encoder: str
    directory: Path
    method: Encoding
    overrides: Mapping[str, int]

    def vectors(self, name: str, texts: list[str], side: Side) -> FloatMatrix:
        """Vectors of texts, encoded if they are not there yet.

        Raises:
            UserError: other texts are kept under that name.
        """
        path = self.directory / f"{name}.{side}.npy"
        if not path.is_file():
            model = Encoder.load(
                self.encoder, max_query_tokens=self.overrides["query"], max_passage_tokens=self.overrides["passage"]
            )
            self.directory.mkdir(parents=True, exist_ok=True)
            np.save(path, encoded(model, texts, side, self.method, path.stem))
        vectors: FloatMatrix = np.load(path)
        if len(vectors) != len(texts):
            raise UserError(
                f"{path} holds {len(vectors):,} vectors for {len(texts):,} texts; keep each set under its own directory"
            )
        return vectors


@dataclass(frozen=True)
class Pool:
    """A retrieval set with its vectors."""

    retrieval_set: RetrievalSet
    queries_QD: FloatMatrix
    passages_PD: FloatMatrix

    def by_question(self, value_Q: FloatArray) -> FloatArray:
        """The mean over the languages of each question that has a value: a question in several languages counts once."""
        groups_Q = np.unique(self.retrieval_set.query_groups or self.retrieval_set.query_ids, return_inverse=True)[1]
        known_Q = ~np.isnan(value_Q)
        counts = np.bincount(groups_Q[known_Q])
        means: FloatArray = np.bincount(groups_Q[known_Q], value_Q[known_Q])[counts > 0] / counts[counts > 0]
        return means

    def with_component(self, component: LanguageComponent | None) -> Evaluation:
        """The evaluation of the vectors without a component."""
        return evaluate(self.retrieval_set, *without_language(component, self.retrieval_set, self.queries_QD, self.passages_PD))

    def balanced(self, balance: Balance, component: LanguageComponent | None = None) -> Evaluation:
        """The evaluation of the vectors, perhaps without a component, in a balanced order."""
        queries_QD, passages_PD = without_language(component, self.retrieval_set, self.queries_QD, self.passages_PD)
        ranking = BalancedRanking(balance, queries_QD, calibration_of(self.retrieval_set, passages_PD))
        return evaluate(self.retrieval_set, queries_QD, passages_PD, reorder=ranking)


@app.default
def measure(
    encoder: str,
    kept: Path,
    /,
    *,
    benchmark: str = "xquad-r",
    data: Path,
    texts: tuple[str, ...] = (),
    dev: Path | None = None,
    most_texts: int = 1000,
    dev_groups: int = 100,
    languages: Languages | None = None,
    max_query_tokens: int = 48,
    max_passage_tokens: int = 64,
    precision: Literal["float32", "bfloat16"] = "bfloat16",
    tables: tuple[str, ...] = TABLES,
) -> int:
    """Prints the table of all methods; of named texts, by how many there are and with a language left out.

    Args:
        encoder: directory or hub name
        kept: directory of this encoder's vectors
        benchmark: by name
        data: its published files
        texts: NAME=CORPUS, prepared corpora whose passages languages are estimated from as well
        most_texts: of each language and source
        dev: prepared corpus to choose method, alpha and number of directions on
        dev_groups: of it at most
        languages: of the benchmark, all by default
        max_query_tokens: kept of each query
        max_passage_tokens: kept of each passage
        precision: of encoding
        tables: which to print; none encodes alone
    """
    if unknown := sorted(set(tables) - set(TABLES) - {"none"}):
        raise UserError(f"unknown table {unknown[0]!r}; allowed: none, {', '.join(TABLES)}")
    console = Console(highlight=False, width=200)
    store = Kept(encoder, kept, Encoding(precision=precision), {"query": max_query_tokens, "passage": max_passage_tokens})
    [retrieval_set] = benchmark_named(benchmark).load(data, languages)
    pool = _pool(store, benchmark, retrieval_set)
    named = {name: _texts(store, name, Path(path), retrieval_set.languages, most_texts) for name, _, path in map(_pair, texts)}
    dev_pool = None
    if dev is not None:
        corpus = ParallelCorpus.open(dev)
        shared = [lang for lang in corpus.languages if lang in retrieval_set.languages]
        dev_pool = _pool(store, "dev", from_corpus(corpus, languages=shared, groups=dev_groups))
    if not set(tables) & set(TABLES):
        return 0
    base = pool.with_component(None)
    console.print(
        f"{encoder}: {base.queries:,} queries, {base.passages:,} passages, {len(base.languages)} languages", markup=False
    )
    sources = {"own passages": retrieval_set.by_passage_language(pool.passages_PD), **named}
    for title, rows in {
        "methods": _methods,
        "domain": _domain,
        "together": _together,
        "sizes": _sizes,
        "missing": _missing,
    }.items():
        if title in tables:
            _table(console, pool, base, rows(pool, sources), title)
    if dev_pool is not None and "dev" in tables:
        for name, vectors in named.items():
            _choice(console, pool, base, dev_pool, name, vectors)
    return 0


def _pair(text: str) -> tuple[str, str, str]:
    if not all(parts := text.partition("=")):
        raise UserError(f"--texts {text!r} is not NAME=CORPUS")
    return parts


def _pool(store: Kept, name: str, retrieval_set: RetrievalSet) -> Pool:
    """A set with its vectors, kept by language, so that a few languages first cost nothing twice."""

    def vectors(side: Side) -> FloatMatrix:
        langs, texts = ([*getattr(retrieval_set, f"{side}_{column}")] for column in ("langs", "texts"))
        rows = {lang: [row for row, of_row in enumerate(langs) if of_row == lang] for lang in dict.fromkeys(langs)}
        parts = [store.vectors(f"{name}-{lang}", [texts[row] for row in members], side) for lang, members in rows.items()]
        return np.concatenate(parts)[np.argsort(np.concatenate(list(rows.values())))]

    passages_PD = vectors("passage")
    return Pool(retrieval_set, vectors("query"), passages_PD)


def _texts(store: Kept, name: str, path: Path, languages: Iterable[str], most: int) -> dict[str, FloatMatrix]:
    """Vectors of up to so many passages of a corpus in each language that it has, drawn."""
    corpus, vectors = ParallelCorpus.open(path), {}
    for lang in (lang for lang in languages if lang in corpus.languages):
        rows = corpus.side("passage", lang).take(np.arange(len(corpus.side("passage", lang))))
        drawn = np.sort(rows[generator(0, "debias bench", lang).permutation(len(rows))[:most]])
        vectors[lang] = store.vectors(f"{name}-{lang}", list(corpus.passages(lang, drawn)), "passage")
    return vectors


Rows = Iterator[tuple[str, Evaluation]]
Sources = Mapping[str, dict[str, FloatMatrix]]
"""Where texts come from -> language -> their vectors."""


def _methods(pool: Pool, sources: Sources) -> Rows:
    """Balances of rankings, and every method with texts of every source."""
    for balance in BALANCES[1:]:
        yield f"balance {balance}", pool.balanced(balance)
    for source, vectors in sources.items():
        means = language_means(vectors)
        for method in METHODS:
            if method != "project":
                yield f"{method}, {source}", pool.with_component(component_from(means, method))
                continue
            for directions in sorted({1, 3, 5, 8, len(means.counts)}):
                if directions <= len(means.counts):
                    component = component_from(means, method, directions=directions)
                    yield f"{method} {directions}, {source}", pool.with_component(component)


def _domain(pool: Pool, sources: Sources) -> Rows:
    """Texts of other sources than the passages themselves."""
    for source, vectors in sources.items():
        if source != "own passages":
            for method in ("project", "centre"):
                yield f"{method}, {source}", pool.with_component(component_from(language_means(vectors), method))


def _together(pool: Pool, sources: Sources) -> Rows:
    """A balance of rankings of vectors that have lost their language."""
    for source, vectors in sources.items():
        means = language_means(vectors)
        for name, component in (
            ("centre", component_from(means, "centre")),
            (f"project {len(means.counts)}", component_from(means, "project", directions=len(means.counts))),
        ):
            for balance in BALANCES[1:]:
                yield f"{name} and balance {balance}, {source}", pool.balanced(balance, component)


def _sizes(pool: Pool, sources: Sources) -> Rows:
    """How many texts of a language."""
    for source, vectors in sources.items():
        for size in (size for size in SIZES if size <= max(map(len, vectors.values()))):
            means = language_means({lang: _drawn(rows, size, lang) for lang, rows in vectors.items()})
            for method in METHODS:
                yield f"{method}, {size:,} texts, {source}", pool.with_component(component_from(means, method))


def _missing(pool: Pool, sources: Sources) -> Rows:
    """Every third language has no text."""
    for source, vectors in sources.items():
        left = {lang: rows for number, (lang, rows) in enumerate(sorted(vectors.items())) if number % 3}
        means, missing = language_means(left), " ".join(sorted(set(vectors) - set(left)))
        for method in METHODS:
            yield f"{method}, {source} without {missing}", pool.with_component(component_from(means, method))


def _choice(console: Console, pool: Pool, base: Evaluation, dev_pool: Pool, name: str, vectors: dict[str, FloatMatrix]) -> None:
    tried = trials(candidates(language_means(vectors)), dev_pool.retrieval_set, dev_pool.queries_QD, dev_pool.passages_PD)
    for trial in tried[:5]:
        dev = trial.evaluation
        console.print(f"dev: {trial.name}: {dev.mo:.4f} {dev.cr:.4f} {dev.mul:.4f} {dev.rank_distance:.1f}", markup=False)
    best = tried[0]
    rows = iter([(f"chosen on dev: {best.name}, {name}", pool.with_component(best.component))])
    _table(console, pool, base, rows, f"chosen on dev groups, texts of {name}")


def _drawn(rows_ND: FloatMatrix, size: int, lang: str) -> FloatMatrix:
    return rows_ND[generator(1, "debias bench", lang).permutation(len(rows_ND))[:size]]


def _table(console: Console, pool: Pool, base: Evaluation, rows: Rows, title: str) -> None:
    """Rows of Mo, Cr, Mul, rank distance; Mul and rank distance against no method with intervals and corrected tests."""
    console.print(f"\n### {title}\n")
    console.print("| method | Mo | Cr | Mul | rank distance | Mul against none [95 %] | p, Holm | rank distance against none |")
    console.print("|---|---|---|---|---|---|---|---|")
    console.print(f"| none | {base.mo:.4f} | {base.cr:.4f} | {base.mul:.4f} | {base.rank_distance:.1f} | | | |")
    measured: list[tuple[str, Evaluation, FloatArray, float]] = []
    for name, evaluation in rows:
        print(f"{name} {evaluation.mul:.4f}", file=sys.stderr, flush=True)
        gain = pool.by_question(evaluation.values_Q["mul"] - base.values_Q["mul"])
        measured.append((name, evaluation, gain, randomisation_test(gain, np.zeros(len(gain)))))
    for (name, evaluation, gain, _), p in zip(measured, holm([row[3] for row in measured]), strict=True):
        low, high = bootstrap_interval(gain, np.zeros(len(gain)))
        numbers = f"{evaluation.mo:.4f} | {evaluation.cr:.4f} | {evaluation.mul:.4f} | {evaluation.rank_distance:.1f}"
        mul = f"{gain.mean():+.4f} [{low:+.4f}, {high:+.4f}]"
        nearer = pool.by_question(evaluation.values_Q["rank_distance"] - base.values_Q["rank_distance"])
        if len(nearer):
            low, high = bootstrap_interval(nearer, np.zeros(len(nearer)), samples=2000)
            distance = f"{nearer.mean():+.1f} [{low:+.1f}, {high:+.1f}]"
        else:
            distance = "-"
        console.print(f"| {name} | {numbers} | {mul} | {p:.4f} | {distance} |", markup=False)


if __name__ == "__main__":
    run(lambda: call(app, sys.argv[1:]))
