"""Evaluates an encoder from its name to the tables and files that an evaluation leaves."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace as with_changes
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.evaluation import report
from xlret.evaluation.balance_effect import effect_rows
from xlret.evaluation.benchmarks import benchmark
from xlret.evaluation.benchmarks.custom import custom_set, is_collection, pairs_alone
from xlret.evaluation.evaluate import Evaluation
from xlret.evaluation.mean_intervals import Intervals, mean_intervals
from xlret.evaluation.measure import KnownVectors, Measured, Method, PreparedSet, measure, rankings_given
from xlret.evaluation.pools import as_pools
from xlret.evaluation.save import read_scores, scores_of, write_evaluation
from xlret.evaluation.sets import RetrievalSet, from_corpus
from xlret.evaluation.settings import EvaluateSettings
from xlret.evaluation.shown_settings import configuration
from xlret.evaluation.significance import Difference, QueryScore, compare
from xlret.evaluation.summary import summary, vector_files
from xlret.evaluation.switched_queries import query_switcher, with_switched_queries
from xlret.evaluation.translate_test import translated
from xlret.files import expand_path, local
from xlret.lexicon.lexicon import Lexicon
from xlret.model.debias.component import LanguageComponent, component_or_method
from xlret.model.encoder import Encoder
from xlret.model.processor import resolved, slow_bfloat16
from xlret.model.reranker import Reranker
from xlret.search.calibration import Calibration
from xlret.switch.translate import WordTranslator


def evaluate_encoder(
    encoder: str | None,
    settings: EvaluateSettings,
    out: Path | None,
    *,
    replace: bool = False,
    compare_with: Path | None = None,
    console: Console | None = None,
    sets: Sequence[RetrievalSet] | None = None,
    prepared: Iterable[PreparedSet] | None = None,
) -> list[Evaluation]:
    """Evaluates an encoder on every set of a benchmark, prints the tables and writes `out`, in one step at the end.

    `measure.evaluate_sets` is the same without files and prints.

    Args:
        encoder: a directory or a hub name; None for a baseline, a run or a reranker of these alone.
        settings: what to evaluate on.
        out: directory for evaluation.json and its kin; None only prints.
        replace: whether an earlier evaluation in `out` gives way.
        compare_with: `evaluation.json` of another encoder on the same set.
        console: where to print; standard output by default. One that is quiet gets no progress bars either.
        sets: what `retrieval_sets` gives, where it was read already.
        prepared: what `sets_to_measure` gives, where it was made already.

    Raises:
        UserError: something of these cannot be used.
    """
    if encoder is None and settings.baseline is None and settings.run is None and settings.reranker is None:
        raise UserError("nothing to evaluate; give an encoder (--encoder), a baseline (--baseline bm25) or a run (--run FILE)")
    if encoder is None and (settings.vectors is not None or settings.index is not None):
        raise UserError("vectors and index hold what an encoder has made; give it with --encoder")
    if encoder is None and settings.debias is not None:
        raise UserError("debias changes the vectors of an encoder; give one with --encoder")
    console = console or Console(highlight=False)
    gpu = _device() == "cuda"
    precision = resolved(settings.precision, gpu=gpu)
    settings = settings.model_copy(update={"precision": precision})
    if encoder is not None and (warning := slow_bfloat16(precision, "precision", gpu=gpu)) is not None:
        console.print(warning, markup=False)
    out = None if out is None else checked_out(expand_path(out), replace)
    earlier = None if compare_with is None else read_scores(expand_path(compare_with))
    method = _method(encoder, settings, depth=settings.run_depth if out else 0, progress=not console.quiet)
    prepared = sets_to_measure(settings, sets) if prepared is None else prepared
    model = None if encoder is None else Encoder.load(encoder, device=_device(), **settings.overrides())
    name = " + ".join(str(part) for part in (encoder, settings.baseline, settings.run) if part is not None)
    name = name or str(settings.reranker)
    measured, intervals = [], []
    known: KnownVectors | None = None if settings.pool in (None, "pooled") else {}  # parts share texts
    for retrieval_set, rankings in prepared:
        measured.append(measure(model, retrieval_set, method, known, rankings))
        intervals.append(mean_intervals(measured[-1].retrieval_set, measured[-1].evaluation))
        _print_measured(measured[-1], intervals[-1], settings, console)
    values = summary(name, settings, measured, intervals)
    differences, incomparable = _differences(measured, earlier)
    if differences is not None:
        report.print_differences(differences, console=console)
        values["comparison"] = {"with": str(compare_with), "tests": [vars(difference) for difference in differences]}
    _print_mean(values, console)
    if out is not None:
        write_evaluation(
            out,
            [(result.retrieval_set, result.evaluation) for result in measured],
            values,
            title=f"{name} on {settings.benchmark or settings.corpus}",
            settings=configuration(values),
            held_out=settings.held_out,
            intervals=intervals,
            differences=differences,
            run_depth=settings.run_depth,
            replace=replace,
        )
        console.print(f"written to {out}", markup=False)
    if incomparable is not None:
        raise incomparable
    return [result.evaluation for result in measured]


def retrieval_sets(settings: EvaluateSettings) -> Iterator[RetrievalSet]:
    """What there is to evaluate on, each read when it is asked for.

    Raises:
        UserError: it cannot be read, or `corpus` is a test collection with judgements, which is no prepared corpus.
    """
    if settings.benchmark == "custom" and settings.data is not None:
        names = ("split", "lang", "passage_lang", "languages", "on_bad_row")
        return iter([custom_set(local(settings.data), **{name: getattr(settings, name) for name in names})])
    if settings.benchmark is not None and settings.hub:
        return benchmark(settings.benchmark).load_from_hub(settings.languages, settings.hub_revision)
    if settings.benchmark is not None and settings.data is not None:
        return benchmark(settings.benchmark).load(settings.data, settings.languages)
    assert settings.corpus is not None
    if is_collection(local(settings.corpus)):
        raise UserError(
            f"{settings.corpus} is a test collection with judgements, not a prepared corpus; evaluate on it whole with "
            f"--benchmark custom --data {settings.corpus}"
        )
    corpus = ParallelCorpus.open(settings.corpus)
    retrieval_set = from_corpus(corpus, languages=settings.languages, groups=settings.groups)
    return iter([with_changes(retrieval_set, caution=pairs_alone(corpus.manifest))])


def checked_out(out: Path, replace: bool) -> Path:
    """The directory for an evaluation.

    Raises:
        UserError: something is there, and it is no evaluation or may not be replaced.
    """
    if out.exists() and not (replace and (out / "evaluation.json").is_file()):
        raise UserError(f"{out} exists already; choose another place{'' if replace else ', or add --replace'}")
    return out


def _method(encoder: str | None, settings: EvaluateSettings, depth: int, progress: bool) -> Method:
    debias = None if settings.debias is None else component_or_method(settings.debias)
    if isinstance(debias, LanguageComponent):
        debias.check_encoder({} if encoder is None else vector_files(encoder))
    return Method(
        precision=resolved(settings.precision, gpu=_device() == "cuda"),
        tokens_per_batch=settings.tokens_per_batch,
        balance=settings.balance,
        calibration=None if settings.calibration is None else Calibration.load(settings.calibration),
        reranker=None if settings.reranker is None else Reranker.load(settings.reranker, device=_device()),
        rerank_depth=settings.rerank_depth,
        depth=depth,
        debias=debias,
        measures=settings.measures(),
        baseline=settings.baseline,
        run=settings.run,
        vectors=settings.vectors,
        encoders=settings.encoders,
        index=settings.index,
        progress=progress,
    )


def sets_to_measure(settings: EvaluateSettings, sets: Iterable[RetrievalSet] | None = None) -> Iterator[PreparedSet]:
    """The sets as they will be encoded, each with the rankings that need no encoder, made when it is asked for.

    Args:
        settings: what to evaluate on.
        sets: what `retrieval_sets` gives, where it was read already.
    """
    for retrieval_set in _prepared_sets(settings, sets):
        rankings, counted = rankings_given(retrieval_set, settings.baseline, settings.run)
        yield PreparedSet(counted, rankings)


def _prepared_sets(settings: EvaluateSettings, sets: Iterable[RetrievalSet] | None) -> Iterable[RetrievalSet]:
    """The sets as they will be encoded; translated all before the first is, so that a missing language shows at once."""
    lexicon = None if settings.translate_test is None else Lexicon.load([settings.translate_test])
    switcher = None
    if settings.switch_queries is not None:
        switcher = query_switcher(settings.switch_queries, settings.switch_policy, settings.switch_p, settings.switch_languages)
    sets = retrieval_sets(settings) if sets is None else sets
    if settings.pool is not None:
        sets = as_pools(sets, settings.pool)
    if switcher is not None or lexicon is not None:
        sets = (with_changes(each, mining=None) for each in sets)  # its sentences would be others than the queries
    if switcher is not None:
        sets = (with_switched_queries(each, switcher) for each in sets)
    if lexicon is None:
        return sets
    return [translated(each, WordTranslator(lexicon, "en", each.languages)) for each in sets]


def _differences(
    measured: list[Measured], earlier: Mapping[str, QueryScore] | None
) -> tuple[list[Difference] | None, UserError | None]:
    """Paired tests against an earlier evaluation, or why they cannot be made: what was measured is written all the same."""
    if earlier is None:
        return None, None
    try:
        return compare(scores_of([(result.retrieval_set, result.evaluation) for result in measured]), earlier), None
    except UserError as error:
        return None, error


def _print_measured(measured: Measured, intervals: Intervals, settings: EvaluateSettings, console: Console) -> None:
    report.print_evaluation(measured.evaluation, held_out=settings.held_out, intervals=intervals, console=console)
    if measured.rankings:
        title = f"the best {settings.rerank_depth} passages of each query before and after reranking"
        if (settings.baseline is not None or settings.run is not None) and settings.reranker is None:
            title = "the encoder's ranking before and after it is fused with the others (reciprocal ranks)"
        if settings.balance != "none":
            origin = settings.calibration or measured.calibrated_from
            title = f"balance of languages before and after, calibrated from {origin}"
        report.print_rows(*effect_rows(measured.retrieval_set, measured.rankings), title, console)


def _print_mean(values: Mapping[str, Any], console: Console) -> None:
    if values["benchmark"] is not None and len(values["sets"]) > 1:
        metric = values["benchmark"]["metric"]
        if values.get(metric) is not None:
            console.print(f"mean {metric} of {len(values['sets'])} sets: {report.number(values[metric])}", markup=False)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
