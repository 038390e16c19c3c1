"""What taking the language out of vectors does to rankings: every text is encoded once, all methods use the same vectors.

    python -m jobs.bench.debias ENCODER KEPT --benchmark xquad-r --data DATA --texts ntrex=corpora/ntrex/train \\
        --dev corpora/ntrex/dev
    python -m jobs.bench.debias ENCODER KEPT --corpus corpora/debian/dev
    python -m jobs.bench.debias ENCODER KEPT --benchmark xquad-r --data DATA --trained TRAINED KEPT-OF-IT

`KEPT` gets the vectors, and a further run reads them there.
"""

import sys
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console

from jobs.bench.debias_rows import (
    OWN,
    Rows,
    falling_sizes,
    method_rows,
    missing_rows,
    size_rows,
    together_rows,
    trained_rows,
    unequal_rows,
)
from jobs.bench.debias_vectors import Kept, Pool, with_queries
from xlret.commands.frame import Languages, call, new_app, run
from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.evaluation.benchmarks import benchmark as benchmark_named
from xlret.evaluation.evaluate import Evaluation
from xlret.evaluation.measure import Method as Encoding
from xlret.evaluation.sets import RetrievalSet, from_corpus
from xlret.evaluation.significance import bootstrap_interval, holm, randomisation_test
from xlret.shapes import FloatArray

app = new_app("python -m jobs.bench.debias", "Measures ways of taking the language out of vectors, on vectors kept once.")
TABLES = {"methods": method_rows, "together": together_rows, "sizes": size_rows, "missing": missing_rows}


@app.default
def measure(
    encoder: str,
    kept: Path,
    /,
    *,
    benchmark: str | None = None,
    data: Path | None = None,
    corpus: Path | None = None,
    texts: tuple[str, ...] = (),
    dev: Path | None = None,
    most_texts: int = 300,
    dev_groups: int = 60,
    groups: int | None = None,
    questions: int | None = None,
    languages: Languages | None = None,
    max_query_tokens: int = 48,
    max_passage_tokens: int = 64,
    precision: Literal["float32", "bfloat16"] = "float32",
    tables: tuple[str, ...] = (*TABLES, "unequal"),
    trained: tuple[str, str] | None = None,
) -> int:
    """Prints the table of all methods; of named texts, by how many there are, with a language left out, of unequal languages.

    Args:
        encoder: directory or hub name
        kept: directory of this encoder's vectors
        benchmark: by name, with its published files
        data: these files
        corpus: a prepared corpus in place of a benchmark
        texts: NAME=CORPUS, prepared corpora whose passages languages are estimated from as well
        most_texts: of each language and source
        dev: prepared corpus to choose method, alpha and number of directions on
        dev_groups: of it at most
        groups: of the corpus at most
        questions: of the benchmark at most, in all languages, spread over it; all passages stay
        languages: of the benchmark, all by default
        max_query_tokens: kept of each query
        max_passage_tokens: kept of each passage
        precision: of encoding
        tables: which to print; none encodes alone
        trained: another encoder and its directory: prints what a training and these methods give together, and nothing else
    """
    if unknown := sorted(set(tables) - {*TABLES, "unequal", "none"}):
        raise UserError(f"unknown table {unknown[0]!r}; allowed: none, unequal, {', '.join(TABLES)}")
    if (benchmark is None) == (corpus is None) or (benchmark is None) != (data is None):
        raise UserError("give either --benchmark NAME with --data DIRECTORY or --corpus DIRECTORY")
    console = Console(highlight=False, width=250)
    limits = {"query": max_query_tokens, "passage": max_passage_tokens}
    store = Kept(encoder, kept, Encoding(precision=precision), limits)
    if benchmark is not None and data is not None:
        name, (retrieval_set,) = benchmark, benchmark_named(benchmark).load(data, languages)
    else:
        assert corpus is not None
        name, retrieval_set = _corpus_set(corpus, languages, groups)
    asked = name
    if questions is not None:
        asked, retrieval_set = f"{name}-{questions}", _fewer_questions(retrieval_set, questions)
    pool = store.pool(name, retrieval_set, asked)
    if trained is not None:
        of_trained = Kept(trained[0], Path(trained[1]), store.method, limits).pool(name, retrieval_set, asked)
        base = _begin(console, f"{encoder} and {trained[0]}", pool)
        rows = list(trained_rows(pool, of_trained))
        _table(console, pool, base, iter(rows), "training and taking languages out")
        _sum(console, pool, base, dict(rows))
        return 0
    named = {
        source: store.texts(source, Path(path), retrieval_set.languages, most_texts) for source, _, path in map(_pair, texts)
    }
    dev_pool = None
    if dev is not None:
        shared = [lang for lang in ParallelCorpus.open(dev).languages if lang in retrieval_set.languages]
        dev_pool = store.pool(*_corpus_set(dev, shared, dev_groups))
    if not set(tables) & {*TABLES, "unequal"}:
        return 0
    base = _begin(console, encoder, pool)
    sources = {OWN: pool.passages_by_language(), **named}
    for title, rows_of in TABLES.items():
        if title in tables:
            _table(console, pool, base, rows_of(pool, sources, dev_pool), title)
    if "unequal" in tables:
        by_language = pool.passages_by_language()
        sizes = falling_sizes(by_language, max(map(len, by_language.values())))
        thinned = pool.thinned(sizes)
        title = f"languages of unequal size: {', '.join(f'{lang} {size:,}' for lang, size in sizes.items())}"
        _table(console, thinned, thinned.with_component(None), unequal_rows(thinned), title)
    return 0


def _pair(text: str) -> tuple[str, str, str]:
    if not all(parts := text.partition("=")):
        raise UserError(f"--texts {text!r} is not NAME=CORPUS")
    return parts


def _corpus_set(path: Path, languages: tuple[str, ...] | list[str] | None, groups: int | None) -> tuple[str, RetrievalSet]:
    """A prepared corpus as a retrieval set, and its name: the last two parts of its path."""
    name = "-".join(path.resolve().parts[-2:])
    return name, from_corpus(ParallelCorpus.open(path), languages=languages, groups=groups)


def _fewer_questions(retrieval_set: RetrievalSet, questions: int) -> RetrievalSet:
    """So many of its questions, each in all of its languages; all passages."""
    of_query = retrieval_set.query_groups or retrieval_set.query_ids
    all_groups = list(dict.fromkeys(of_query))
    chosen = {all_groups[row] for row in np.unique(np.linspace(0, len(all_groups) - 1, questions).astype(int))}
    return with_queries(retrieval_set, [row for row, group in enumerate(of_query) if group in chosen])


def _begin(console: Console, encoder: str, pool: Pool) -> Evaluation:
    base = pool.with_component(None)
    counts = f"{base.queries:,} queries, {base.passages:,} passages, {len(base.languages)} languages"
    console.print(f"{encoder} on {base.name}: {counts}", markup=False)
    return base


def _table(console: Console, pool: Pool, base: Evaluation, rows: Rows, title: str) -> None:
    """Rows of Mo, Cr, Mul, rank distance; Mul and rank distance against no method with intervals and corrected tests."""
    console.print(f"\n### {title}\n", markup=False)
    console.print("| method | Mo | Cr | Mul | rank distance | Mul against none [95 %] | p, Holm | rank distance against none |")
    console.print("|---|---|---|---|---|---|---|---|")
    console.print(f"| none | {_numbers(base)} | | | |")
    measured: list[tuple[str, Evaluation, FloatArray, float]] = []
    for name, evaluation in rows:
        print(f"{name} {evaluation.mul:.4f}", file=sys.stderr, flush=True)
        gain = _gain(pool, evaluation, base)
        measured.append((name, evaluation, gain, randomisation_test(gain, np.zeros(len(gain)))))
    for (name, evaluation, gain, _), p in zip(measured, holm([row[3] for row in measured]), strict=True):
        nearer = pool.by_question(evaluation.values_Q["rank_distance"] - base.values_Q["rank_distance"])
        distance = _interval(nearer, "+.1f") if len(nearer) else "-"
        console.print(f"| {name} | {_numbers(evaluation)} | {_interval(gain, '+.4f')} | {p:.4f} | {distance} |", markup=False)


def _sum(console: Console, pool: Pool, base: Evaluation, rows: dict[str, Evaluation]) -> None:
    """Whether what a method gains before training is gained on top of training: the difference of the two gains."""
    console.print("\n| method | gain of Mul before | after training | difference [95 %] | p |")
    console.print("|---|---|---|---|---|")
    trained = rows["trained, none"]
    for name in [name.removeprefix("before, ") for name in rows if name.startswith("before, ")]:
        before, after = _gain(pool, rows[f"before, {name}"], base), _gain(pool, rows[f"trained, {name}"], trained)
        p = randomisation_test(after, before)
        line = f"{before.mean():+.4f} | {after.mean():+.4f} | {_interval(after - before, '+.4f')} | {p:.4f}"
        console.print(f"| {name} | {line} |", markup=False)


def _gain(pool: Pool, evaluation: Evaluation, base: Evaluation) -> FloatArray:
    return pool.by_question(evaluation.values_Q["mul"] - base.values_Q["mul"])


def _interval(value_N: FloatArray, form: str) -> str:
    low, high = bootstrap_interval(value_N, np.zeros(len(value_N)), samples=2000)
    return f"{value_N.mean():{form}} [{low:{form}}, {high:{form}}]"


def _numbers(evaluation: Evaluation) -> str:
    return f"{evaluation.mo:.4f} | {evaluation.cr:.4f} | {evaluation.mul:.4f} | {evaluation.rank_distance:.1f}"


if __name__ == "__main__":
    run(lambda: call(app, sys.argv[1:]))
