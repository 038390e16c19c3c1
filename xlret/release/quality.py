"""How good a release is: numbers of an encoder's evaluations and of its index's certificate, and which of two is better."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xlret.errors import UserError
from xlret.files import local
from xlret.release.record import INDEX, Quality

GATES = ("mul", "mo", "cr", "micro", "map@20", "ndcg@10", "mrr@10", "recall@1", "recall@10", "recall@100")
"""Metrics of `xlret evaluate` that a promotion may be decided by: of each, more is better."""

_METRICS = (*GATES, "rank_distance")
_SIZES = ("queries", "passages")
"""Of equal benchmarks these are equal."""
_CHANGES = ("reranker", "balance", "translate_test", "switch_queries", "baseline", "run")
"""Settings with which the numbers are of another ranking or of other texts than what is served."""
_OVERRIDES = (
    *("query_prompt", "passage_prompt", "query_prompt_name", "passage_prompt_name"),
    *("max_query_tokens", "max_passage_tokens"),
)


def read_quality(
    evaluation: Path, encoder: Path, fingerprint: Mapping[str, str], component: str | None = None
) -> tuple[str, dict[str, float]]:
    """Name of the benchmark and numbers of an `evaluation.json` that `xlret evaluate --out` wrote of this encoder.

    Args:
        evaluation: the file, or the directory it is in.
        encoder: directory of the encoder, to be named in errors.
        fingerprint: SHA-256 of its files, as `encoder_files` gives them.
        component: SHA-256 of the language component that the index carries.

    Raises:
        UserError: no evaluation.json, or one of another encoder, or of this one with other prompts or length limits, with
            another language component than the index carries (or one where that has none), with a ranking that was changed
            after it (reranked, balanced, fused) or texts that were changed before (translated, code-switched).
    """
    evaluation = local(evaluation)
    path = evaluation / "evaluation.json" if evaluation.is_dir() else evaluation
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        sets, settings, about = written["sets"], written["settings"], written["benchmark"]
        sizes = {name: float(sum(evaluation[name] for evaluation in sets)) for name in _SIZES}
        numbers = {name: float(written[name]) for name in _METRICS if written.get(name) is not None}
        benchmark = str(about["name"] if about else sets[0]["name"])
        overridden = [name for name in _OVERRIDES if settings.get(name) is not None]
        debiased = {str(about["sha256"]) for about in (written.get("debias") or {}).values()}
        changed = [name for name in _CHANGES if settings.get(name) not in (None, "none")]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; name what xlret evaluate --out wrote") from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(f"{path} is no evaluation.json as xlret evaluate --out writes it: {error!r}") from error
    if written.get("encoder_files") != dict(fingerprint):
        raise UserError(
            f"{path} is an evaluation of {written.get('encoder')}, whose files are not those of {encoder}; evaluate that: "
            f"xlret evaluate --encoder {encoder} ..."
        )
    if changed:
        option = f"--{changed[0].replace('_', '-')}"
        raise UserError(
            f"{path} was made with {option} {settings[changed[0]]}, so its numbers are not those of the encoder by itself; "
            f"evaluate without {option}"
        )
    if debiased != ({component} - {None}):
        fault = f"{path} was made {'with another' if debiased else 'without a'} language component, and the index"
        if component is None:
            raise UserError(f"{fault} has none; evaluate without --debias")
        raise UserError(f"{fault} carries one; evaluate with --debias and the index's debias.json")
    if overridden:
        raise UserError(
            f"{path} was made with another {overridden[0]} than a release serves; "
            f"evaluate without --{overridden[0].replace('_', '-')}"
        )
    return benchmark, numbers | sizes


def quality_of(sets: Sequence[Mapping[str, Any]], benchmark: str | None = None) -> tuple[str, dict[str, float]]:
    """What `read_quality` gives, of evaluations that were just made: means over the sets.

    Args:
        sets: as `xlret.evaluation.report.as_json` gives them, one or more.
        benchmark: its name; that of the first set by default.
    """
    numbers: dict[str, float] = {}
    for name in _METRICS:
        values = [evaluation.get(name, evaluation["pooled"].get(name)) for evaluation in sets]
        known = [float(value) for value in values if value is not None]
        if known:
            numbers[name] = math.fsum(known) / len(known)
    sizes = {name: float(sum(evaluation[name] for evaluation in sets)) for name in _SIZES}
    return benchmark or str(sets[0]["name"]), numbers | sizes


def worse(new: Quality, standing: Quality, benchmark: str, metric: str, tolerance: float) -> list[str]:
    """Sentences that say where the new release is worse than the standing one by more than `tolerance`; none if nowhere.

    Looked at are `metric` on the benchmark and recall@10 of the index against exact search.

    Raises:
        UserError: as `numbers_of`, or the two were not measured on the same.
    """
    mine = numbers_of("the new release", new, benchmark, metric)
    theirs = numbers_of("the standing release", standing, benchmark, metric)
    for size in _SIZES:
        if mine.get(size) != theirs.get(size):
            raise UserError(
                f"{benchmark}: the new release was measured on {mine.get(size, math.nan):,.0f} {size}, the standing one on "
                f"{theirs.get(size, math.nan):,.0f}; measure both on the same, or promote with --force"
            )
    sentences = []
    for name, now, before in (
        (f"{metric} on {benchmark}", mine[metric], theirs[metric]),
        ("recall@10 of the index", new.get(INDEX, {}).get("recall@10"), standing.get(INDEX, {}).get("recall@10")),
    ):
        if now is None or before is None:
            raise UserError(f"{name} is not known of both releases; make them with an index that has a certificate, or --force")
        if not now >= before - tolerance:
            sentences.append(f"{name} is {now:.4f}, {before - now:.4f} below the standing release's {before:.4f}")
    return sentences


def numbers_of(whose: str, quality: Quality, benchmark: str, metric: str) -> Mapping[str, float]:
    """The numbers on a benchmark of what is called `whose` in errors.

    Raises:
        UserError: the metric is none to decide by, or was not measured.
    """
    if metric not in GATES:
        raise UserError(f"a promotion cannot be decided by {metric!r}; allowed: {', '.join(GATES)}")
    if benchmark not in quality or benchmark == INDEX:
        known = sorted(set(quality) - {INDEX})
        raise UserError(
            f"{whose} was not measured on {benchmark!r}, but on {', '.join(known) or 'nothing'}; give --corpus, or --benchmark "
            "and --data, to measure both now, or promote with --force"
        )
    if metric not in quality[benchmark]:
        raise UserError(f"{whose}: {metric} was not measured on {benchmark}; measured were {', '.join(quality[benchmark])}")
    return quality[benchmark]
