"""The best configuration's encoder, an index of the named passages and an evaluation, as a release that may become current."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from rich.console import Console

from xlret.config import settings_from
from xlret.errors import UserError
from xlret.evaluation.run import evaluate_encoder
from xlret.evaluation.settings import EvaluateSettings
from xlret.release.make import make_release
from xlret.release.promote import promote_or_keep
from xlret.release.record import read_record
from xlret.search.from_files import build_from, passages_from
from xlret.search.manifest import CURRENT_FILE
from xlret.search.passages import Passage
from xlret.search.settings import EncodeSettings, IndexSettings
from xlret.search.vectors.fingerprint import encoder_files
from xlret.sweep.configuration import seeds_of, trial_directory
from xlret.sweep.evaluations import OF_SETS, evaluation_sets, read_evaluation
from xlret.sweep.ranking import Ranked
from xlret.sweep.settings import ReleaseSettings, SweepJob


def release_best(job: SweepJob, rows: Sequence[Ranked], name: str, console: Console, *, without_ray: bool = False) -> None:
    """Makes a release of the best configuration that was trained, and the release current unless the standing one is better.

    The encoder is that of the first seed: to take the seed that was best on the evaluation would be to choose by chance. What
    of the release is there already is not made again.

    Args:
        job: the sweep, with `release`.
        rows: its configurations, the best first.
        name: of the release.
        console: where what is done is said.
        without_ray: encode the passages in this process.

    Raises:
        UserError: no configuration has finished, the name is taken by another encoder, or the release is refused and none is
            current.
    """
    assert job.release is not None, "the command has asked for it"
    best = next((row for row in rows if row.goals(job) is not None and not row.configuration.untrained), None)
    if best is None:
        raise UserError("no configuration has finished, so there is nothing to release; see the table for why")
    seed = seeds_of(job, best.configuration)[0]
    model = trial_directory(job, best.configuration, seed) / "model"
    console.print(
        f"the best configuration is {best.configuration.label}; its encoder with seed {seed} becomes {name}", markup=False
    )
    files = encoder_files(model)
    root = job.release.root
    if (root / name).exists():
        if not read_record(root / name).holds_encoder(files):
            raise UserError(f"{root / name} is a release of another encoder, and releases do not change; choose another name")
    else:
        work = job.out / "release" / f"{best.configuration.name}-{seed}-{files['model.safetensors'][:8]}"
        evaluation = _evaluation(job.evaluation, model, work, console)
        encoding = EncodeSettings(encoders=0) if without_ray else None
        index = _index(job.release, model, work, encoding, console)
        make_release(root, name, model, index, evaluations=[evaluation])
    outcome = promote_or_keep(root, name, metric=job.release.metric, tolerance=job.release.tolerance)
    console.print(f"{outcome}; next: xlret serve --release {root}", markup=False)


def _evaluation(settings: EvaluateSettings, model: Path, work: Path, console: Console) -> Path:
    """How good the encoder is as it is served: on the sweep's sets, without its own prompts, lengths, texts and rankings."""
    on = settings.model_dump(include=set(OF_SETS), exclude_unset=True)
    as_served = settings_from(EvaluateSettings, {**on, "precision": settings.precision, "run_depth": 0})
    out = work / "evaluation"
    if read_evaluation(out, as_served) is None:
        evaluate_encoder(str(model), as_served, out, replace=True, console=console, sets=evaluation_sets(as_served))
    return out


def _index(settings: ReleaseSettings, model: Path, work: Path, encoding: EncodeSettings | None, console: Console) -> Path:
    """An index of the recipe's passages; one that is whole is not made again."""
    index = work / "index"
    if not (index / CURRENT_FILE).is_file():  # it comes last: an index that was interrupted has none
        settings_of_index = IndexSettings(shards=settings.shards)
        say = partial(console.print, markup=False)
        build_from(_passages(settings), model, index, settings_of_index, encoding, say=say)
    return index


def _passages(settings: ReleaseSettings) -> Iterator[Passage]:
    if settings.passages:
        return passages_from(settings.passages)
    return chain.from_iterable(map(passages_from, settings.corpora))
