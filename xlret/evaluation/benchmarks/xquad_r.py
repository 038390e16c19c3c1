"""XQuAD-R: 1,190 questions in each of eleven languages, fully parallel, over some 1,200 sentences a language."""

from xlret.evaluation.benchmarks.base import Benchmark
from xlret.evaluation.benchmarks.lareqa import LAREQA, lareqa_set

XQUAD_R = Benchmark(
    name="xquad-r",
    title="XQuAD-R (LAReQA)",
    languages=("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"),
    metric="micro",
    licence="CC BY-SA 4.0",
    source="https://github.com/google-research-datasets/lareqa",
    revision="2020-04, as published",
    files="LANG.json or LANG.json.gz",
    citation=LAREQA,
    read=lambda directory, languages: iter([lareqa_set("xquad-r", directory, languages)]),
)
