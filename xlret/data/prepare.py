"""From data sets and the user's own files to prepared corpora with a held-out part."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from xlret import monitoring
from xlret.calls import Calls, calls_for
from xlret.config import PathSetting, Settings
from xlret.data.corpus_write import Provenance, fill_corpora
from xlret.data.rows import MAX_CHARACTERS, BadRowPolicy, ReadingReport
from xlret.data.sources.afriqa import AfriqaSource
from xlret.data.sources.beir import BeirSource
from xlret.data.sources.miracl import MiraclSource
from xlret.data.sources.mmarco import MmarcoSource
from xlret.data.sources.msmarco import MsMarcoSource
from xlret.data.sources.ntrex import NtrexSource
from xlret.data.sources.own import OwnSource
from xlret.data.sources.squad import SquadSource
from xlret.data.sources.swim_ir import SwimIrSource
from xlret.data.sources.trec import TrecSource
from xlret.data.split import PARTS, train_and_dev
from xlret.data.split import made_by as part_made_by
from xlret.data.spool import SpooledPart
from xlret.errors import UserError
from xlret.files import directory_beside
from xlret.storage.url import is_url
from xlret.text.languages import LanguageCodes

A = TypeVar("A")
R = TypeVar("R")
AnySource = Annotated[
    OwnSource
    | BeirSource
    | MsMarcoSource
    | TrecSource
    | NtrexSource
    | SwimIrSource
    | MmarcoSource
    | MiraclSource
    | AfriqaSource
    | SquadSource,
    Field(discriminator="format"),
]
_MOST_CALLS = 1 << 20
Name = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class CorpusSettings(Settings):
    """One corpus: what to read and how much of it to hold out."""

    read: AnySource
    """`format` says what it is: rows (your own files), beir, msmarco, trec, ntrex, swim_ir, mmarco, miracl, afriqa, squad."""
    dev: int = Field(0, ge=0)
    """Groups to hold out, by whole clusters; 0: none."""


class AgainstSettings(Settings):
    """Where a benchmark's texts are."""

    data: PathSetting | None = None
    """Directory with its published files; by default $XLRET_SHARED/data/NAME."""
    hub: bool = False
    """Fetch them from the Hugging Face hub instead, at the commit that the benchmark names."""
    languages: LanguageCodes | None = None
    """Only these; all that are there by default."""

    @model_validator(mode="after")
    def _single_origin(self) -> "AgainstSettings":
        if self.hub and self.data is not None:
            raise ValueError("hub fetches the files; give it without data")
        return self


def _by_name(benchmarks: Any) -> Any:
    return {name: {} for name in benchmarks} if isinstance(benchmarks, list | tuple) else benchmarks


class PrepareSettings(Settings):
    """What `xlret prepare` makes: `OUTPUT/NAME/train` and, where groups are held out, `OUTPUT/NAME/dev`."""

    output: PathSetting
    """Directory that the corpora are made in."""
    corpora: dict[Name, CorpusSettings] = Field(min_length=1)
    """Name of a corpus: what it is made of."""
    on_bad_row: BadRowPolicy = "error"
    """Stop at the first bad row, or leave bad rows out and count them."""
    max_characters: int = Field(MAX_CHARACTERS, ge=1)
    """Longest query, title or text; longer ones are bad rows."""
    seed: int = Field(0, ge=0)
    """Of the choice of held-out clusters."""
    replace: bool = False
    """Whether corpora that exist are made again."""
    workers: int | None = Field(None, ge=0)
    """Tasks of Ray that read and write side by side, on a cluster whose machines all see the paths; by default as many as the
    machine of the cluster of RAY_ADDRESS that the command runs on has room for, and without a cluster as with 0: this process
    alone. The corpora are the same."""
    against: Annotated[Mapping[str, AgainstSettings], BeforeValidator(_by_name)] = {}
    """Benchmarks whose texts must not be in what is trained on, such as [xquad-r, tatoeba]: once all corpora are made, `xlret
    prepare` tells what it finds of them."""


@dataclass(frozen=True)
class Prepared:
    """One corpus as it was written."""

    name: str
    train: Path
    dev: Path | None
    report: ReadingReport


def prepare(settings: PrepareSettings) -> Iterator[Prepared]:
    """Prepares the corpora one after the other; each appears, train and dev together, when it is whole.

    Raises:
        UserError: an output exists and `replace` is false (before anything is read), or the input cannot be used.
    """
    for name in settings.corpora:
        if (settings.output / name).exists() and not settings.replace:
            raise UserError(f"{settings.output / name} exists already; choose another output or allow replacing it (--replace)")
    with calls_for(settings.workers, _MOST_CALLS, here=is_url(settings.output)) as (calls, _):
        for name, corpus in settings.corpora.items():
            yield _prepare_corpus(name, corpus, settings, calls)


def _prepare_corpus(name: str, corpus: CorpusSettings, settings: PrepareSettings, calls: Calls) -> Prepared:
    report = ReadingReport(settings.on_bad_row, option="--on-bad-row skip")
    origin, target = corpus.read, settings.output / name
    options = {"max_characters": settings.max_characters, "on_bad_row": settings.on_bad_row}
    made_by = f"xlret prepare {json.dumps({'read': origin.model_dump(mode='json')} | options, ensure_ascii=False)}"
    names, split = ["train"], None
    if corpus.dev:
        names, split = list(PARTS), partial(train_and_dev, dev=corpus.dev, seed=settings.seed, name=str(target))
    with directory_beside(target, replace=settings.replace) as fresh:
        corpora = []
        for part in names:
            maker = part_made_by(made_by, part, corpus.dev, settings.seed) if corpus.dev else made_by
            corpora.append((fresh / part, Provenance(origin.source, origin.licence, origin.revision, maker)))
        began = time.monotonic()
        parts = origin.parts(report, calls)
        manifests = fill_corpora(fresh, parts, report, settings.max_characters, _counted(calls, name), corpora, split)
    for part, manifest in zip(names, manifests, strict=True):
        monitoring.tell("xlret_prepare_groups", manifest.n_groups, corpus=name, part=part)
    monitoring.tell("xlret_prepare_seconds", time.monotonic() - began, corpus=name)
    return Prepared(name, target / "train", target / "dev" if corpus.dev else None, report)


def _counted(calls: Calls, corpus: str) -> Calls:
    """The same calls, whose rows are counted as they come."""

    def counting(function: Callable[[A], R], arguments: Iterable[A]) -> Iterator[R]:
        for result in calls(function, arguments):
            if isinstance(result, SpooledPart):
                monitoring.tell("xlret_prepare_rows", result.report.rows, corpus=corpus)
                monitoring.tell("xlret_prepare_bad_rows", result.report.skipped, corpus=corpus)
            yield result

    return counting
