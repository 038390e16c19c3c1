"""MIRACL over hard negatives (Enevoldsen et al. 2025): its dev questions over the pooled best passages of three systems."""

from collections.abc import Iterator
from pathlib import Path

from xlret.evaluation.benchmarks.base import Benchmark
from xlret.evaluation.benchmarks.miracl import MIRACL
from xlret.evaluation.benchmarks.mteb_layout import PARTS, mteb_set, present_configs
from xlret.evaluation.sets import RetrievalSet
from xlret.hub import HubRepository

_REVISION = "d7d94fa4b946cec4a27c84653aa0cf6b33f74a3c"
"""The commit that MTEB's own task reads."""
_CONFIGS = {lang: lang for lang in MIRACL.languages}


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One set a language; passages are the best 250 of BM25 and two E5 models for each question, together."""
    for lang, config in present_configs(directory, _CONFIGS, languages):
        yield mteb_set(f"miracl-hard/{lang}", directory, config, lang, lang, prefix=f"{lang}/")


MIRACL_HARD = Benchmark(
    name="miracl-hard",
    title="MIRACL, dev questions over hard negatives",
    size="11,076 questions, 2,449,382 passages",
    languages=MIRACL.languages,
    metric="ndcg@10",
    licence="CC BY-SA 4.0",
    source="https://huggingface.co/datasets/mteb/MIRACLRetrievalHardNegatives",
    revision=_REVISION,
    files="LANG-queries, LANG-corpus and LANG-qrels with Parquet files",
    citation=MIRACL.citation,
    read=_sets,
    hub=(
        HubRepository(
            "mteb/MIRACLRetrievalHardNegatives",
            _REVISION,
            lambda languages: [f"{lang}-{part}/*" for lang in languages for part in PARTS],
        ),
    ),
)
