"""The benchmarks that xlret knows: a closed vocabulary, one small file each."""

from xlret.errors import UserError
from xlret.evaluation.benchmarks.afriqa import AFRIQA
from xlret.evaluation.benchmarks.base import Benchmark
from xlret.evaluation.benchmarks.belebele import BELEBELE
from xlret.evaluation.benchmarks.bucc import BUCC
from xlret.evaluation.benchmarks.ciral import CIRAL
from xlret.evaluation.benchmarks.custom import CUSTOM
from xlret.evaluation.benchmarks.mewsli_x import MEWSLI_X
from xlret.evaluation.benchmarks.miracl import MIRACL
from xlret.evaluation.benchmarks.miracl_hard import MIRACL_HARD
from xlret.evaluation.benchmarks.mlqa import MLQA
from xlret.evaluation.benchmarks.mlqa_r import MLQA_R
from xlret.evaluation.benchmarks.mmarco import MMARCO
from xlret.evaluation.benchmarks.mmarco_rerank import MMARCO_RERANK
from xlret.evaluation.benchmarks.neuclir import NEUCLIR
from xlret.evaluation.benchmarks.swim_ir import SWIM_IR
from xlret.evaluation.benchmarks.tatoeba import TATOEBA
from xlret.evaluation.benchmarks.xor_retrieve import XOR_RETRIEVE
from xlret.evaluation.benchmarks.xquad_r import XQUAD_R
from xlret.evaluation.benchmarks.xtreme_up import XTREME_UP

__all__ = ["BENCHMARKS", "Benchmark", "benchmark"]

_ALL = (
    *(XQUAD_R, MLQA_R, TATOEBA, BUCC, AFRIQA, MIRACL, MIRACL_HARD, MMARCO, MMARCO_RERANK, SWIM_IR, BELEBELE, MLQA, CIRAL),
    *(NEUCLIR, XOR_RETRIEVE, XTREME_UP, MEWSLI_X, CUSTOM),
)
BENCHMARKS = {each.name: each for each in _ALL}
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
