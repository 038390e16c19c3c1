"""MLQA (Lewis et al. 2020) as retrieval: questions in seven languages, parallel four ways on average, to their paragraphs."""

from collections.abc import Iterator
from pathlib import Path

from xlret.data.read import read_records
from xlret.data.rows import ReadingReport
from xlret.data.sources.squad import Question, squad_questions
from xlret.errors import DataError
from xlret.evaluation.benchmarks.base import Benchmark, first_existing
from xlret.evaluation.benchmarks.parallel import ParallelTexts
from xlret.evaluation.sets import RetrievalSet
from xlret.hub import HubRepository


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One set of the files `test-context-LANG-question-LANG.json`, or of XTREME's copy in Parquet: relevant is the paragraph of
    the same question id, in every language that has it. The paragraphs that several questions share are one passage.

    MTEB's MLQARetrieval is another cut of the same data (a set for each pair of languages); its numbers are not these.
    """
    texts = ParallelTexts()
    for lang in languages:
        key_of: dict[str, str] = {}
        for question in _questions(directory, lang):
            key = key_of.setdefault(question.context, f"{lang}:{len(key_of)}")
            texts.add_passage(key, lang, f"{question.title} {question.context}" if question.title else question.context)
            texts.add_query(question.id, lang, question.text, (key,))
    keys_of_question: dict[str, set[str]] = {}
    for _, _, _, group, keys in texts.queries:
        keys_of_question.setdefault(group, set()).update(keys)
    texts.queries = [(*query[:4], tuple(sorted(keys_of_question[query[3]]))) for query in texts.queries]
    yield texts.retrieval_set("mlqa")


def _questions(directory: Path, lang: str) -> Iterator[Question]:
    """The test questions of a language, each with its paragraph."""
    name = f"test-context-{lang}-question-{lang}.json"
    path = first_existing(directory, name, f"test/{name}", f"MLQA_V1/test/{name}", _copy(lang))
    if path.suffix == ".json":
        yield from squad_questions(path, ReadingReport())
        return
    for where, record in read_records(path, ReadingReport()):
        try:
            title = record["title"].replace("_", " ")
            yield Question(where, record["id"], record["question"], title, record["context"], is_impossible=False)
        except (KeyError, AttributeError) as error:
            raise DataError(f"{where}: no id, title, context or question ({error}); found: {', '.join(record)}") from error


def _copy(lang: str) -> str:
    """The name of the file in XTREME's data set on the hub."""
    return f"MLQA.{lang}.{lang}/test-00000-of-00001.parquet"


MLQA = Benchmark(
    name="mlqa",
    title="MLQA, test questions to paragraphs",
    size="42,245 questions; paragraphs not counted",
    languages=("ar", "de", "en", "es", "hi", "vi", "zh"),
    metric="ndcg@10",
    measures=("nDCG@20",),
    licence="CC BY-SA 3.0",
    source="https://github.com/facebookresearch/MLQA",
    revision="V1; its copy google/xtreme at 5d0e5de8d9e0965c282782cb3a6a349dfe45c55d",
    files="MLQA_V1/test/test-context-LANG-question-LANG.json, or MLQA.LANG.LANG/test-00000-of-00001.parquet",
    citation="""@inproceedings{lewis2020mlqa,
  title = {{MLQA}: Evaluating Cross-lingual Extractive Question Answering},
  author = {Lewis, Patrick and Oguz, Barlas and Rinott, Ruty and Riedel, Sebastian and Schwenk, Holger},
  booktitle = {Proceedings of ACL},
  year = {2020}
}""",
    read=_sets,
    hub=(
        HubRepository(
            "google/xtreme",
            "5d0e5de8d9e0965c282782cb3a6a349dfe45c55d",
            lambda languages: [_copy(lang) for lang in languages],
        ),
    ),
)
