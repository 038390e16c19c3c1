"""NeuCLIR 2022 (Lawrie et al. 2023): English topics, Persian, Russian and Chinese news, grades 0, 1 and 3."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xlret.data.read import read_records
from xlret.data.rows import ReadingReport
from xlret.data.sources.judged import JudgedSet, JudgedText, judged_set
from xlret.data.sources.qrels import read_qrels
from xlret.data.sources.texts import Text, json_texts
from xlret.errors import DataError, UserError
from xlret.evaluation.benchmarks.base import Benchmark, first_existing
from xlret.evaluation.sets import RetrievalSet, from_judged
from xlret.text.languages import language

_CODES = {"fa": "fas", "ru": "rus", "zh": "zho"}


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One pooled set: the English topics over the documents of all chosen languages.

    Queries are title and description. Documents are files `CODE*.jsonl.gz` (or `.jsonl`, `.parquet`) in the directory or its
    folder `data`, with `id`, `title` and `text`, as the hub's neuclir/neuclir1 has them; 2.2 (fa) to 4.6 (ru) million, held in
    memory. The names of the topics' fields (`topic_id`, `topics` with `lang`, `topic_title`, `topic_description`) are those of
    the track's guidelines; no published file was at hand to check them against.
    """
    report = ReadingReport()
    topics = list(_topics(first_existing(directory, "topics.0720.utf8.jsonl", "topics.jsonl"), report))
    parts = [_documents(directory, lang, topics, report) for lang in languages]
    queries: dict[str, JudgedText] = {}
    passages: dict[str, JudgedText] = {}
    qrels: dict[str, dict[str, float]] = {}
    left_out: dict[str, int] = {}
    for part in parts:
        queries |= part.queries
        passages |= part.passages
        for query_id, grades in part.qrels.items():
            qrels.setdefault(query_id, {}).update(grades)
        for reason, count in part.left_out.items():
            left_out[reason] = left_out.get(reason, 0) + count
    yield from_judged("neuclir", JudgedSet(queries, passages, qrels, left_out))


def _documents(directory: Path, lang: str, topics: list[Text], report: ReadingReport) -> JudgedSet:
    code = _CODES[lang]
    folders = [directory / "data", directory]
    files = [path for folder in folders for end in ("jsonl", "jsonl.gz", "parquet") for path in folder.glob(f"{code}*.{end}")]
    if not files:
        raise UserError(f"there is no {code}*.jsonl.gz in {directory}")
    documents = (text for path in sorted(set(files)) for text in json_texts(path, report))
    qrels = read_qrels(first_existing(directory, f"2022-qrels.{code}", f"qrels.{code}"), report)
    return judged_set(topics, documents, qrels, lang="en", passage_lang=lang, report=report)


def _topics(path: Path, report: ReadingReport) -> Iterator[Text]:
    for where, record in read_records(path, report):
        try:
            english: dict[str, Any] = next(topic for topic in record["topics"] if language(topic["lang"]) == "en")
            text = " ".join(filter(None, (english["topic_title"], english.get("topic_description"))))
            yield Text(where, str(record["topic_id"]), None, text)
        except (KeyError, TypeError, StopIteration) as error:
            raise DataError(f"{where}: not a topic with an English version: {error!r}; found: {', '.join(record)}") from error


NEUCLIR = Benchmark(
    name="neuclir",
    title="NeuCLIR 2022, English topics to Persian, Russian and Chinese news",
    size="45 to 49 topics, 10,038,768 passages",
    languages=tuple(_CODES),
    metric="nDCG@20",
    measures=("nDCG@20", "AP", "R@1000", "Judged@20"),
    licence="ODC-BY; Common Crawl's terms of use",
    source="https://trec.nist.gov/data/neuclir2022.html and https://huggingface.co/datasets/neuclir/neuclir1",
    revision="2022 topics and qrels; no commit of the documents was checked",
    files="topics.0720.utf8.jsonl, 2022-qrels.CODE and data/CODE*.jsonl.gz for fas, rus, zho",
    by_hand=(
        "fetch data/CODE-00000-of-00001.jsonl.gz from the hub's data set neuclir/neuclir1, topics.0720.utf8.jsonl "
        "and 2022-qrels.CODE from TREC's page, and put them into one folder"
    ),
    citation="""@article{lawrie2023neuclir,
  title = {Overview of the {TREC} 2022 {NeuCLIR} Track},
  author = {Lawrie, Dawn and MacAvaney, Sean and Mayfield, James and McNamee, Paul and Oard, Douglas W. and Soldaini, Luca
    and Yang, Eugene},
  journal = {arXiv:2304.12367},
  year = {2023}
}""",
    read=_sets,
)
