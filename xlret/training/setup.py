"""What is done before a run's first step: its settings are checked, its start model made, what it is made of written down."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from xlret.batches.assemble import Assembler, Inputs
from xlret.batches.parallel import ParallelInputs
from xlret.batches.plan import BatchPlan
from xlret.batches.samples import sample_texts
from xlret.batches.usable import plan_languages
from xlret.config import as_yaml, settings_from
from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.files import expand_path, local, sha256_of, write_json, write_text
from xlret.keys import generator, key_of
from xlret.model.processor import resolved
from xlret.provenance import commit, data_fingerprints, hardware, process_started, versions
from xlret.storage.url import is_url
from xlret.switch.show import Sample
from xlret.training.checkpoint import newest_checkpoint
from xlret.training.dev import DevSets
from xlret.training.kinds import start_model
from xlret.training.loop import WorkerTask
from xlret.training.settings import TrainJob
from xlret.training.taught import check_teacher_scores
from xlret.training.teacher import teacher_vectors

# Settings that say how a run is carried out, not what it computes: they may differ when it is continued.
_HOW = ("ray", "storage", "log_every", "keep_checkpoints", "track")


class SetUp(NamedTuple):
    """What a run knows before its first step."""

    task: WorkerTask
    plan: BatchPlan
    samples: list[Sample]
    """A few texts as they will be trained on."""


def set_up(job: TrainJob, directory: Path) -> SetUp:
    """Writes the start model, `config.yaml` and `run.json`, and makes one batch so that bad input shows before workers start.

    Raises:
        UserError: something that the run needs cannot be used.
    """
    corpora = [ParallelCorpus.open(path) for path in job.corpora]
    plan = BatchPlan(corpora, job.plan)
    if job.dev.corpora:
        DevSets.open(job.dev)
    start = directory / "start"
    if not (start.exists() and (directory / "config.yaml").exists()):  # else it may be of other settings that did not run
        write_start(job, corpora, start)
    negatives = job.reranker.negatives if job.model == "reranker" else None
    parallel = _parallel(job, corpora, plan, start)
    inputs = Inputs(
        corpora=job.corpora,
        plan=job.plan,
        switch=job.switch,
        tokeniser=start,
        hard_negatives=job.hard_negatives,
        negatives=negatives,
        parallel=parallel,
        pair_weights=tuple(sorted(job.loss.pair_weights.items())) if job.model == "retriever" else (),
        negative_language=job.negative_language,
        reranked=job.reranker.is_taught if job.model == "reranker" else job.loss.has_reranked,
    )
    assemble = Assembler(inputs)
    _check_weighted(job, assemble.plan)
    check_teacher_scores(job, corpora)
    assemble(0, 0, max(1, job.ray.workers))
    start_weights = sha256_of(local(start) / "model.safetensors")
    write_text(directory / "config.yaml", as_yaml(job))
    write_json(directory / "run.json", _facts(job, corpora, plan, start_weights))
    # Which of its texts a teacher read is the plan's to say, which is in the fingerprint.
    teachers = () if parallel is None else tuple(path.name.partition("-")[0] for path in parallel.teachers)
    deciding = fingerprint(job, plan, start_weights, teachers)
    task = WorkerTask(job, directory, inputs, deciding, newest_checkpoint(directory))
    return SetUp(task, plan, sample_texts(assemble, job.steps * job.accumulate))


def _check_weighted(job: TrainJob, plan: BatchPlan) -> None:
    named = {side for pair in job.loss.pair_weights for side in pair.split(">")} - {"*"}
    if unknown := sorted(named - set(plan.languages)):
        raise UserError(
            f"loss.pair_weights names {', '.join(unknown)}, which no batch has a text in; "
            f"batches have {', '.join(sorted(plan.languages))}"
        )


def write_start(job: TrainJob, corpora: Sequence[ParallelCorpus], directory: Path) -> None:
    """Makes the model that a run begins with and saves it; a fresh one's vocabulary is learned from the run's corpora.

    Raises:
        UserError: the start cannot be used.
    """
    languages = sorted(job.encoder.fresh.languages or plan_languages(corpora, job.plan))
    start_model(job, lambda: tokeniser_texts(corpora, languages)).save(directory, replace=True)


def _parallel(job: TrainJob, corpora: Sequence[ParallelCorpus], plan: BatchPlan, start: Path) -> ParallelInputs | None:
    """What the loss wants beside pairs."""
    if not job.loss.parallel_sides or job.model == "reranker":
        return None
    teachers = teacher_vectors(job, corpora, plan, start) if job.loss.has_teacher else ()
    return ParallelInputs(job.loss.pivot, job.loss.parallel_sides, teachers)


def fingerprint(job: TrainJob, plan: BatchPlan, start_weights: str, teachers: Sequence[str] = ()) -> str:
    """A hash of all that decides the weights a run ends in; `teachers` are the checksums that name a teacher's vectors."""
    # Without defaults, so that a setting that xlret did not have when a run began does not end the run.
    settings = job.model_dump(mode="json", exclude_defaults=True)
    deciding = {name: value for name, value in settings.items() if name not in (*_HOW, "name")}
    deciding.get("dev", {}).pop("beside", None)
    text = json.dumps([deciding, plan.fingerprint, start_weights, max(1, job.ray.workers), *teachers], sort_keys=True)
    return f"{key_of(text):032x}"


def check_settings(job: TrainJob, advice: str = "choose another name or say --fresh") -> None:
    """Whether a run of this name that is there already was begun with settings that give the same result.

    Args:
        job: the run.
        advice: what to do if it was not.

    Raises:
        UserError: it was not; names the first setting that differs.
    """
    directory = job.storage / job.name
    path = directory / "config.yaml"
    if not path.exists():
        return
    try:
        old = _compared(settings_from(TrainJob, yaml.safe_load(path.read_text(encoding="utf-8"))))
    except (yaml.YAMLError, UnicodeDecodeError, UserError) as error:
        raise UserError(f"{path} is damaged, or of another xlret; remove {directory} or say --fresh") from error
    new = _compared(job.model_copy(update={"precision": resolved(job.precision, gpu=job.ray.gpu)}))
    odd = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    if odd:
        raise UserError(
            f"run {job.name} exists with other settings: {odd[0]} was {old.get(odd[0])!r} and is now {new.get(odd[0])!r}"
            f"{f' (and {len(odd) - 1} more)' if len(odd) > 1 else ''}; {advice}"
        )


def _compared(job: TrainJob) -> dict[str, Any]:
    """What must be equal for a run to go on. The number of workers decides how sums are rounded; without Ray
    there is one."""
    values = {key: value for key, value in job.model_dump(mode="json").items() if key not in _HOW}
    flat = _flat(values) | {"ray.workers": max(1, job.ray.workers)}
    del flat["dev.beside"]
    return flat


def tokeniser_texts(corpora: Sequence[ParallelCorpus], languages: Sequence[str], most: int = 4000) -> Iterator[str]:
    """Up to `most` queries and as many passages of each language and corpus, so that a vocabulary serves all languages."""
    for corpus in corpora:
        for lang in languages:
            for side, fetch in (("query", corpus.queries), ("passage", corpus.passages)):
                pool = corpus.side(side, lang)  # type: ignore[arg-type]
                if len(pool):
                    ranks = np.sort(generator("tokeniser", lang, side).permutation(len(pool))[:most])
                    yield from fetch(lang, pool.take(ranks))


def _facts(job: TrainJob, corpora: Sequence[ParallelCorpus], plan: BatchPlan, start_weights: str) -> dict[str, Any]:
    """What a reader of the result needs in order to trust it or to make it again."""
    return {
        "name": job.name,
        "commit": commit(),
        "versions": versions(("xlret", "torch", "ray", "transformers", "numpy", "pyarrow")),
        "hardware": hardware(),
        "process_started": process_started(),
        "seeds": {"run": job.seed, "plan": job.plan.seed},
        "corpora": [
            facts | {"path": str(path)} | {name: getattr(corpus.manifest, name) for name in ("source", "licence", "revision")}
            for path, facts, corpus in zip(job.corpora, data_fingerprints(corpora), corpora, strict=True)
        ],
        "languages": sorted(plan_languages(corpora, job.plan)),
        "base_on_hub": job.encoder.start != "fresh"
        and not (is_url(job.encoder.start) or expand_path(Path(job.encoder.start)).is_dir()),
        "plan_fingerprint": plan.fingerprint,
        "start_weights_sha256": start_weights,
    }


def flat_settings(job: TrainJob) -> dict[str, Any]:
    """All settings of a run in one level: `{"plan.alpha": 0.5, ...}`."""
    return _flat(job.model_dump(mode="json"))


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level: `{"a": {"b": 1}}` -> `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
