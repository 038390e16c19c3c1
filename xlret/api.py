"""The front door: corpus -> train -> evaluate -> index -> search, in a notebook, in this process and without Ray.

    import xlret

    corpus = xlret.Corpus.from_rows(rows)                       # group_id, lang, query, text
    trained = xlret.train("intfloat/multilingual-e5-small", corpus, plan={"alpha": 0.5}, steps=200)
    [scores] = xlret.evaluate(trained.encoder, "corpora/mine/test")
    index = xlret.Index.build(trained.encoder, [xlret.Passage("1", "de", "Bern", "Bern liegt an der Aare.")])
    index.search("Which river flows through Bern?", k=5, balance="quota")

The same work spread over a cluster is `xlret train`, `evaluate`, `index` and `serve` on the command line.
"""

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from xlret.batches.settings import PlanSettings
from xlret.config import Settings, settings_from
from xlret.data.corpus import ParallelCorpus as Corpus
from xlret.errors import UserError
from xlret.evaluation.baselines.bm25 import Statistics
from xlret.evaluation.benchmarks import BENCHMARKS, benchmark
from xlret.evaluation.evaluate import Evaluation
from xlret.evaluation.measure import Method, evaluate_sets
from xlret.evaluation.named_measures import named_measures
from xlret.evaluation.pools import Pool, as_pools
from xlret.evaluation.sets import RetrievalSet, from_corpus
from xlret.files import expand_path
from xlret.lexicon.lexicon import Lexicon
from xlret.model.debias.component import DebiasMethod, LanguageComponent, component_or_method
from xlret.model.encoder import Encoder
from xlret.model.reranker import Reranker
from xlret.model.settings import EncoderOverrides
from xlret.processors import usable_threads
from xlret.search.balance import Balance
from xlret.search.passages import Passage
from xlret.search.text_index import TextIndex as Index
from xlret.serve.local_server import serve_local
from xlret.switch.settings import SwitchSettings
from xlret.switch.switcher import Switcher
from xlret.training.callbacks import RunCallback
from xlret.training.progress import Print
from xlret.training.run import TrainResult
from xlret.training.run import train as run_job
from xlret.training.settings import TrainJob

__all__ = [
    "Corpus",
    "Encoder",
    "Index",
    "Lexicon",
    "Passage",
    "Reranker",
    "Switcher",
    "Trained",
    "evaluate",
    "serve_local",
    "train",
]

_ENCODERS = "give an Encoder, a directory or a hub name; training leaves one in `trained.encoder`"


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished training run."""

    encoder: Encoder
    """The best encoder (the last one without dev corpora)."""
    run: TrainResult
    """Where everything that the run left is: `run.model`, `run.report` (a page with curves), `run.history()`."""


def train(
    encoder: "str | Path | Encoder | Mapping[str, Any]",
    corpora: "str | Path | Corpus | Sequence[str | Path | Corpus]",
    *,
    plan: PlanSettings | Mapping[str, Any] | None = None,
    switch: SwitchSettings | Mapping[str, Any] | None = None,
    steps: int = 1000,
    dev: "str | Path | Corpus | None" = None,
    out: str | Path | None = None,
    workers: int = 0,
    show: Print | None = print,
    callbacks: Iterable[RunCallback] = (),
    **settings: Any,
) -> Trained:
    """Fine-tunes an encoder on prepared corpora with planned, perhaps code-switched batches.

    Args:
        encoder: what to start from: an encoder, a directory, a hub name, `fresh`, or the settings of `encoder` in a recipe,
            such as `{"start": "fresh", "fresh": {"layers": 2}}`.
        corpora: one or several, or their directories.
        plan: which pairs make up a batch, such as `{"alpha": 0.5, "batch_size": 32}`.
        switch: code-switching, such as `{"policy": "ml", "lexicons": ["atlas/lexicon"]}`; none by default.
        steps: optimiser steps.
        dev: corpus of held-out groups, by which the best checkpoint is chosen.
        out: directory of the run, in which a stopped run goes on; by default a temporary one that goes with the result.
        workers: 0 trains in this process; more are Ray workers.
        show: where progress lines go; None for nowhere.
        callbacks: told of every report and checkpoint.
        settings: any other setting of a training recipe (`xlret train --help` lists them), such as `seed=1` or
            `optimiser={"learning_rate": 2e-5}`.

    Raises:
        UserError: a setting, corpus or encoder that cannot be used.

    Cost: that of the steps; in this process on all its processors, or `OMP_NUM_THREADS` of them.
    """
    if misplaced := settings.keys() & {"name", "storage"}:
        raise UserError(f"{', '.join(sorted(misplaced))}: the directory of the run is given as out=")
    temporary = None if out is not None else Path(tempfile.mkdtemp(prefix="xlret-run-"))
    directory = temporary / "run" if temporary is not None else expand_path(Path(out or ""))
    start = directory.with_name(f"{directory.name}.start")
    try:
        values: dict[str, Any] = {
            "ray": {"workers": workers} | ({} if workers else {"threads_per_worker": usable_threads()}),
            **settings,
            "name": directory.name,
            "storage": directory.parent,
            "steps": steps,
            "corpora": [_directory(corpus) for corpus in _several(corpora)],
            "encoder": _start(encoder, start),
        }
        if plan is not None:
            values["plan"] = _values("plan", plan)
        if switch is not None:
            values["switch"] = _values("switch", switch)
        if dev is not None:
            values["dev"] = {"every": steps, "corpora": [_directory(dev)]}
        job = settings_from(TrainJob, values)
        result = run_job(job, show=show, callbacks=callbacks)
        trained = Trained(Encoder.load(result.model), result)
    except BaseException:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        raise
    if temporary is not None:
        weakref.finalize(trained, shutil.rmtree, temporary, ignore_errors=True)
    return trained


def evaluate(
    encoder: "str | Path | Encoder",
    on: "str | Path | Corpus",
    *,
    data: str | Path | None = None,
    languages: Sequence[str] | None = None,
    groups: int | None = None,
    reranker: Reranker | None = None,
    balance: Balance = "none",
    debias: LanguageComponent | DebiasMethod | str | None = None,
    hub: bool = False,
    pool: Pool | None = None,
    baseline: Statistics | None = None,
    measures: Sequence[str] = (),
    **overrides: Unpack[EncoderOverrides],
) -> list[Evaluation]:
    """What an encoder reaches within languages (`mo`), across them (`cr`) and over all at once (`mul`), and how biased it is.

    Args:
        encoder: an encoder, a directory or a hub name.
        on: a prepared corpus or its directory, or the name of a benchmark (`xquad-r`, ...).
        data: directory of the benchmark's published files.
        languages: only these, as queries and passages.
        groups: at most so many groups of a corpus.
        reranker: orders the best 100 passages of each query anew.
        balance: an order that is fair between languages: `quota` or `calibrated`.
        debias: takes the language out of all vectors first: `shift`, `centre`, `shift-passages` or `project`, estimated from
            the passages of each set, or a component or a file of `xlret debias`.
        hub: fetch the benchmark's files from the Hugging Face hub; choose `languages` with it.
        pool: other pools of the same data: `mono`, `cross` or `pooled`.
        baseline: fuse the encoder's ranking with BM25's, by reciprocal ranks: `bm25` or `bm25-pooled`.
        measures: more measures by their names in `ir_measures`, such as `nDCG@20`; they are in `Evaluation.pooled`.
        overrides: prompts, limits and the like in place of the encoder's own, where it is loaded here.

    Only `xlret evaluate` has TREC runs, switched queries, Translate-Test, kept vectors, indexes and files of results.

    Returns:
        One evaluation for each set: a corpus is one set, a benchmark may have several.

    Raises:
        UserError: an encoder, corpus or benchmark that cannot be used.
    """
    if isinstance(encoder, Encoder):
        if overrides:
            raise UserError(f"{', '.join(sorted(overrides))}: give them to Encoder.load; the encoder is loaded already")
    elif isinstance(encoder, str | Path):
        encoder = Encoder.load(encoder, **overrides)
    else:
        raise UserError(f"encoder is a {type(encoder).__name__}; {_ENCODERS}")
    if reranker is not None and not isinstance(reranker, Reranker):
        raise UserError(f"reranker is a {type(reranker).__name__}; load it first: Reranker.load(directory)")
    if isinstance(languages, str):
        languages = [languages]
    chosen = component_or_method(debias) if isinstance(debias, str) else debias
    if baseline is not None and balance != "none":
        raise UserError("baseline is a ranking of its own; leave balance out")
    method = Method(balance=balance, reranker=reranker, debias=chosen, baseline=baseline, measures=named_measures(measures))
    sets = _sets(on, data, languages, groups, hub)
    return evaluate_sets(encoder, sets if pool is None else as_pools(sets, pool), method)


def _sets(
    on: "str | Path | Corpus", data: str | Path | None, languages: Sequence[str] | None, groups: int | None, hub: bool
) -> Iterable[RetrievalSet]:
    if hub and not isinstance(on, str):
        raise UserError("hub fetches the files of a benchmark; name one, such as evaluate(encoder, 'belebele', hub=True)")
    if isinstance(on, str) and (on in BENCHMARKS or data is not None or hub):
        about = benchmark(on)
        if hub:
            return about.load_from_hub(languages)
        if data is None:
            raise UserError(f"benchmark {on} needs data: a directory with {about.files} from {about.source}")
        return about.load(expand_path(Path(data)), None if languages is None else tuple(languages))
    corpus = on if isinstance(on, Corpus) else Corpus.open(expand_path(_directory(on)))
    return [from_corpus(corpus, languages=None if languages is None else tuple(languages), groups=groups)]


def _several(corpora: "str | Path | Corpus | Sequence[str | Path | Corpus]") -> "list[str | Path | Corpus]":
    return list(corpora) if isinstance(corpora, Iterable) and not isinstance(corpora, str | Mapping) else [corpora]


def _directory(corpus: "str | Path | Corpus") -> Path:
    if isinstance(corpus, str | Path):
        return Path(corpus)
    if not isinstance(corpus, Corpus):
        raise UserError(
            f"a corpus is a {type(corpus).__name__}; give a Corpus or its directory; Corpus.from_rows makes one of rows"
        )
    return corpus.path


def _start(encoder: "str | Path | Encoder | Mapping[str, Any]", directory: Path) -> dict[str, Any]:
    """The settings of the start; an encoder in memory is saved beside the run, where the run finds it when it goes on."""
    if isinstance(encoder, Encoder):
        if not directory.exists():
            encoder.save(directory)
        return {"start": str(directory)}
    if isinstance(encoder, Mapping):
        return dict(encoder)
    if not isinstance(encoder, str | Path):
        raise UserError(f"encoder is a {type(encoder).__name__}; {_ENCODERS}")
    return {"start": str(encoder)}


def _values(name: str, settings: PlanSettings | SwitchSettings | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(settings, Mapping):
        return settings
    if not isinstance(settings, Settings):
        raise UserError(f"{name} is a {type(settings).__name__}; give its settings, such as plan={{'alpha': 0.5}}")
    return settings.model_dump(exclude_unset=True)
