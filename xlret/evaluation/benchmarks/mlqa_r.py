"""MLQA-R: questions in seven languages, only partly parallel, over 1,800 to 6,300 sentences a language."""

from xlret.evaluation.benchmarks.base import Benchmark
from xlret.evaluation.benchmarks.lareqa import LAREQA, lareqa_set

MLQA_R = Benchmark(
    name="mlqa-r",
    title="MLQA-R (LAReQA)",
    size="4,199 questions, 20,534 passages",
    languages=("ar", "de", "en", "es", "hi", "vi", "zh"),
    metric="micro",
    licence="CC BY-SA 3.0",
    source="https://github.com/google-research-datasets/lareqa",
    revision="google-research-datasets/lareqa at 354d67d1cd066854cdfbf5ad0e6105528976141d, not by checksum",
    files="LANG.json or LANG.json.gz",
    by_hand="fetch mlqa-r/*.json of the repository google-research-datasets/lareqa into one folder",
    citation=LAREQA,
    read=lambda directory, languages: iter([lareqa_set("mlqa-r", directory, languages)]),
)
