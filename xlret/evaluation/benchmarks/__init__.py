"""The benchmarks that xlret knows: a closed vocabulary, one small file each."""

from xlret.errors import UserError
from xlret.evaluation.benchmarks.afriqa import AFRIQA
from xlret.evaluation.benchmarks.base import Benchmark
from xlret.evaluation.benchmarks.custom import CUSTOM
from xlret.evaluation.benchmarks.miracl import MIRACL
from xlret.evaluation.benchmarks.mlqa_r import MLQA_R
from xlret.evaluation.benchmarks.tatoeba import TATOEBA
from xlret.evaluation.benchmarks.xquad_r import XQUAD_R

__all__ = ["BENCHMARKS", "Benchmark", "benchmark"]

BENCHMARKS = {each.name: each for each in (XQUAD_R, MLQA_R, TATOEBA, AFRIQA, MIRACL, CUSTOM)}
"""All benchmarks by name."""


def benchmark(name: str) -> Benchmark:
    """The benchmark of this name.

    Raises:
        UserError: there is none; the message lists all.

    >>> benchmark("xquad-r").metric
    'micro'
    """
    if name not in BENCHMARKS:
        raise UserError(f"unknown benchmark {name!r}; allowed are {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]
