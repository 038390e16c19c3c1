"""Measuring releases before one takes the other's place: each on the same set, unless it was measured on that before."""

from collections.abc import Mapping
from pathlib import Path

from xlret.evaluation.report import as_json
from xlret.evaluation.run import evaluate_encoder, retrieval_sets
from xlret.evaluation.settings import EvaluateSettings
from xlret.model.debias.component import DEBIAS
from xlret.release.alias import read_alias
from xlret.release.promote import known_quality, standing_quality
from xlret.release.quality import quality_of
from xlret.release.record import Quality, checked_name
from xlret.release.verify import verify_release


def measure_releases(
    root: Path, name: str, settings: EvaluateSettings, alias: str, *, compare: bool = True
) -> tuple[Mapping[str, Quality], str]:
    """Evaluates a release and, to compare, the standing one; each unless it was measured on the same before.

    Args:
        root: directory of releases.
        name: the release that is to be promoted.
        settings: what to evaluate on.
        alias: names the standing release.
        compare: whether the standing release is asked for; without, it may be gone.

    Returns:
        Release -> what was measured now, and the benchmark's name, as `promote` takes them.

    Raises:
        UserError: no such release, or the data cannot be used.
    """
    known = {name: known_quality(root, checked_name(name), alias)}
    standing = read_alias(root, alias)
    if standing is not None and compare:
        known[standing] = standing_quality(root, standing, alias)
    benchmark, sizes = settings.benchmark, {"queries": 0, "passages": 0}
    for retrieval_set in retrieval_sets(settings):
        benchmark = benchmark or retrieval_set.name
        sizes["queries"] += len(retrieval_set.query_ids)
        sizes["passages"] += len(retrieval_set.passage_ids)
    assert benchmark is not None, "nothing to measure on"
    measured: dict[str, Quality] = {}
    for release, quality in known.items():
        if not sizes.items() <= quality.get(benchmark, {}).items():
            parts = verify_release(root / checked_name(release))
            carried = None if parts.record.index.debias is None else str(parts.index / DEBIAS)
            evaluations = evaluate_encoder(str(parts.encoder), settings.model_copy(update={"debias": carried}), None)
            measured[release] = {benchmark: quality_of([as_json(evaluation) for evaluation in evaluations], benchmark)[1]}
    return measured, benchmark
