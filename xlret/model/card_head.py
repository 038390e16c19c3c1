"""The YAML at the head of a model card, in the form that the Hugging Face hub and MTEB read."""

import re
from collections.abc import Sequence

from huggingface_hub import EvalResult, ModelCardData

from xlret.model.card_facts import SetResult, Training

_LICENCES = frozenset(
    {
        *("apache-2.0", "mit", "bsd-3-clause", "gpl-2.0", "gpl-3.0", "lgpl-3.0", "mpl-2.0", "odc-by", "odbl"),
        *("cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
    }
)
"""Identifiers of the hub that our sources' licences may be."""
_HUB_DATA = re.compile(r"huggingface\.co/datasets/([\w.-]+/[\w.-]*\w)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NOT_SHARES = ("rank_distance", "max_rank", "max_rank_log")


def card_head(
    training: Training | None, results: Sequence[SetResult], *, name: str | None = None, licence: str | None = None
) -> str:
    """The head between its lines of dashes; what is not known is not in it."""
    known = name or (training.run if training else None)
    data = ModelCardData(
        language=_languages(training.languages if training else ()),
        license=licence or (licence_of(training) if training else None),
        base_model=training.base if training and training.base_on_hub else None,
        datasets=_hub_data([corpus.source for corpus in training.corpora] if training else []),
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=["xlret", "sentence-transformers", "feature-extraction", *(["cross-lingual-retrieval"] if training else [])],
        model_name=(known or "xlret encoder") if results else None,
        eval_results=[result for each in results for result in _eval_results(each)] or None,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def licence_of(training: Training) -> str:
    """The hub's identifier of the licence that all data has, where the encoder began from nothing else; else `other`.

    >>> from xlret.model.card_facts import TrainingData
    >>> data = TrainingData(licence="CC BY-SA 4.0", fingerprint="f", groups=1)
    >>> fresh = Training(run="r", base=None, base_on_hub=False, start_weights_sha256="0", languages=("en",), corpora=(data,),
    ...     how={}, commit=None)
    >>> licence_of(fresh), licence_of(fresh.model_copy(update={"base": "an/other"}))
    ('cc-by-sa-4.0', 'other')
    """
    ids = {"-".join(corpus.licence.lower().split()) for corpus in training.corpora}
    return ids.pop() if training.base is None and len(ids) == 1 and ids <= _LICENCES else "other"


def metric_type(name: str) -> str:
    """What MTEB calls a metric.

    >>> metric_type("ndcg@10"), metric_type("mul")
    ('ndcg_at_10', 'map')
    """
    return "map" if name == "mul" else name.lower().replace("@", "_at_")


def _eval_results(result: SetResult) -> list[EvalResult]:
    """In MTEB's form: one task and data set, values in per cent."""
    hub_data = _hub_data([result.source or ""])
    return [
        EvalResult(
            task_type="Retrieval",
            task_name="Cross-lingual retrieval" if len(result.languages) > 1 else "Retrieval",
            dataset_type=hub_data[0] if hub_data else result.benchmark,
            dataset_name=result.benchmark,
            dataset_config=result.name,
            dataset_split=result.split,
            dataset_revision=result.revision if result.revision and _COMMIT.fullmatch(result.revision) else None,
            metric_type=metric_type(metric.name),
            metric_value=round(100 * metric.mean, 3),
            metric_args={"interval_95": [round(100 * metric.low, 3), round(100 * metric.high, 3)]},
        )
        for metric in result.metrics
        if metric.name not in _NOT_SHARES
    ]


def _languages(codes: Sequence[str]) -> list[str] | None:
    """The hub knows languages by ISO 639 alone, without script and region."""
    return sorted({code.split("-")[0] for code in codes}) or None


def _hub_data(sources: Sequence[str]) -> list[str] | None:
    """Names of data sets on the hub among what corpora say of their source."""
    return sorted({name for source in sources for name in _HUB_DATA.findall(source)}) or None
