"""MLQA (Lewis et al. 2020) as retrieval: questions in seven languages, parallel four ways on average, to their paragraphs."""

from collections.abc import Iterator
from pathlib import Path

from xlret.data.rows import ReadingReport
from xlret.data.sources.squad import squad_questions
from xlret.evaluation.benchmarks.base import Benchmark, first_existing
from xlret.evaluation.benchmarks.parallel import ParallelTexts
from xlret.evaluation.sets import RetrievalSet


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One set of the files `test-context-LANG-question-LANG.json`: relevant is the paragraph of the same question id, in every
    language that has it. The paragraphs that several questions share are one passage.

    MTEB's MLQARetrieval is another cut of the same data (a set for each pair of languages); its numbers are not these.
    """
    texts = ParallelTexts()
    for lang in languages:
        name = f"test-context-{lang}-question-{lang}.json"
        path = first_existing(directory, name, f"test/{name}", f"MLQA_V1/test/{name}")
        key_of: dict[str, str] = {}
        for question in squad_questions(path, ReadingReport()):
            key = key_of.setdefault(question.context, f"{lang}:{len(key_of)}")
            texts.add_passage(key, lang, f"{question.title} {question.context}" if question.title else question.context)
            texts.add_query(question.id, lang, question.text, (key,))
    keys_of_question: dict[str, set[str]] = {}
    for _, _, _, group, keys in texts.queries:
        keys_of_question.setdefault(group, set()).update(keys)
    texts.queries = [(*query[:4], tuple(sorted(keys_of_question[query[3]]))) for query in texts.queries]
    yield texts.retrieval_set("mlqa")


MLQA = Benchmark(
    name="mlqa",
    title="MLQA, test questions to paragraphs",
    languages=("ar", "de", "en", "es", "hi", "vi", "zh"),
    metric="ndcg@10",
    measures=("nDCG@20",),
    licence="CC BY-SA 3.0",
    source="https://github.com/facebookresearch/MLQA",
    revision="V1",
    files="MLQA_V1/test/test-context-LANG-question-LANG.json",
    citation="""@inproceedings{lewis2020mlqa,
  title = {{MLQA}: Evaluating Cross-lingual Extractive Question Answering},
  author = {Lewis, Patrick and Oguz, Barlas and Rinott, Ruty and Riedel, Sebastian and Schwenk, Holger},
  booktitle = {Proceedings of ACL},
  year = {2020}
}""",
    read=_sets,
)
