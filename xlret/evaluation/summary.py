"""The content of evaluation.json: all numbers with the settings, versions and hardware they were made with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import constants

from xlret.evaluation import report
from xlret.evaluation.balance_effect import effect_json
from xlret.evaluation.benchmarks import benchmark
from xlret.evaluation.mean_intervals import Intervals
from xlret.evaluation.measure import Measured
from xlret.evaluation.metrics import mean
from xlret.evaluation.named_measures import POOLED
from xlret.evaluation.sets import set_fingerprint
from xlret.evaluation.settings import EvaluateSettings
from xlret.files import expand_path, local, sha256_of
from xlret.model.debias.component import LanguageComponent
from xlret.model.export.record import read_export, source_files
from xlret.provenance import hardware, versions
from xlret.search.vectors.fingerprint import encoder_files
from xlret.tokens.card import CARD

_PACKAGES = ("xlret", "torch", "transformers", "tokenizers", "numpy")


def summary(
    encoder: str, settings: EvaluateSettings, measured: Sequence[Measured], intervals: Sequence[Intervals]
) -> dict[str, Any]:
    """All numbers of an evaluation; those at the top are means over the sets.

    Args:
        encoder: what was evaluated, by its directory or hub name.
        settings: how.
        measured: every retrieval set with its evaluation.
        intervals: of the means of each set.
    """
    evaluations = [result.evaluation for result in measured]
    about = None if settings.benchmark is None else benchmark(settings.benchmark)
    mined = [each.mining for each in evaluations if each.mining is not None]
    held_out = {each.name: each.means_over(settings.held_out) for each in evaluations} if settings.held_out else None
    return {
        "encoder": encoder,
        "settings": settings.model_dump(mode="json"),
        **{
            name: mean(np.array([getattr(each, name) for each in evaluations]))
            for name in ("mo", "cr", "mul", "micro", "rank_distance", "peer")
        },
        "mrc": mean(np.array([each.rank_correlation for each in evaluations])),
        **{
            name: mean(np.array([each.pooled[name] for each in evaluations]))
            for name in dict.fromkeys((*POOLED, *(name for each in evaluations for name in each.measures)))
        },
        **({"f1": mean(np.array([scores.f1 for scores in mined]))} if mined else {}),
        "means": {
            "macro": _mean_of_sets([report.macro_means(each) for each in evaluations]),
            "micro": _mean_of_sets([each.micro_means for each in evaluations]),
        },
        "held_out": held_out,
        "sets": [
            report.as_json(result.evaluation)
            | {"intervals": report.intervals_json(ends), "sha256": set_fingerprint(result.retrieval_set)}
            for result, ends in zip(measured, intervals, strict=True)
        ],
        "benchmark": about and {key: getattr(about, key) for key in ("name", "metric", "licence", "source", "revision")},
        "seconds": {
            "encoding": sum(result.encoding_seconds for result in measured),
            "search": sum(result.search_seconds for result in measured),
        },
        "versions": versions(_PACKAGES),
        "hardware": hardware(),
        "encoder_files": fingerprint(encoder),
        "encoder_source": None if fingerprint(encoder) else source_of(encoder),
        "balance": None if settings.balance == "none" else _balance(settings, measured),
        "index": None if settings.index is None else str(settings.index),
        "debias": None if settings.debias is None else {each.evaluation.name: _debias(each.component) for each in measured},
        "reranker": None if settings.reranker is None else _reranking(settings.reranker, measured),
    }


def _balance(settings: EvaluateSettings, measured: Sequence[Measured]) -> dict[str, Any]:
    return {
        result.evaluation.name: effect_json(result.retrieval_set, result.rankings)
        | {"calibrated_from": str(settings.calibration or result.calibrated_from)}
        for result in measured
    }


def _debias(component: LanguageComponent | None) -> dict[str, Any]:
    assert component is not None, "something was taken out"
    return component.model_dump(mode="json", include={"method", "texts", "made_from"}) | {"sha256": component.sha256}


def _reranking(directory: Path, measured: Sequence[Measured]) -> dict[str, Any]:
    effects = {result.evaluation.name: effect_json(result.retrieval_set, result.rankings) for result in measured}
    return {"sha256": sha256_of(directory / "model.safetensors"), "effects": effects}


def fingerprint(encoder: str) -> dict[str, str] | None:
    """Checksums of an encoder that xlret saved, so that a release knows whose numbers these are; None for any other."""
    directory = local(expand_path(Path(encoder)))
    return encoder_files(directory) if (directory / CARD).is_file() else None


def source_of(encoder: str) -> dict[str, str] | None:
    """What tells an encoder that xlret did not save: checksums of its weights and configuration, or its commit on the hub.

    None for what is neither a directory nor in the hub's cache, such as a baseline.
    """
    directory = local(expand_path(Path(encoder)))
    if directory.is_dir():
        names = {
            path for end in ("*.safetensors", "*.bin", "*.json", "*/*.json", "*/*.safetensors") for path in directory.glob(end)
        }
        return {path.relative_to(directory).as_posix(): sha256_of(path) for path in sorted(names)}
    commit = Path(constants.HF_HUB_CACHE) / f"models--{encoder.replace('/', '--')}" / "refs" / "main"
    return {"commit": commit.read_text().strip()} if commit.is_file() else None


def vector_files(encoder: str) -> dict[str, str]:
    """As `fingerprint`, of an export those of the encoder that it was made from; empty where that is None."""
    files = fingerprint(encoder)
    return {} if files is None else source_files(read_export(local(expand_path(Path(encoder)))), files)


def _mean_of_sets(means: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: mean(np.array([set_means[name] for set_means in means])) for name in means[0]} if means else {}
