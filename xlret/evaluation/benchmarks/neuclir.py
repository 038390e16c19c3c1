"""NeuCLIR 2022 (Lawrie et al. 2023): English topics, Persian, Russian and Chinese news, grades 0, 1 and 3."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xlret.data.read import read_records
from xlret.data.rows import ReadingReport
from xlret.data.sources.judged import JudgedPassages, JudgedSet, JudgedText, judged_set
from xlret.data.sources.qrels import read_qrels, record_qrels
from xlret.data.sources.texts import Text, json_texts, tsv_texts
from xlret.errors import DataError, UserError
from xlret.evaluation.benchmarks.base import Benchmark, first_existing
from xlret.evaluation.sets import RetrievalSet, from_judged
from xlret.hub import HubRepository
from xlret.text.languages import language

_CODES = {"fa": "fas", "ru": "rus", "zh": "zho"}
_TOPICS_ON_HUB = "data/topics.neuclir22.en.desc_title.tsv"
"""Lines of a topic's number and its English description and title."""


def _judgements_on_hub(code: str) -> str:
    return f"neuclir-{code}/test.jsonl"


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One pooled set: the English topics over the documents of all chosen languages.

    Queries are title and description. Documents are files `CODE*.jsonl.gz` (or `.jsonl`, `.parquet`) in the directory or its
    folder `data`, with `id`, `title` and `text`, as the hub's neuclir/neuclir1 has them; 2.2 (fa) to 4.6 (ru) million,
    whose texts go to disk (their machine translations, `CODE-mt-*`, are not read). Topics are TREC's JSON lines (`topic_id`,
    `topics` with `lang`, `topic_title`, `topic_description`) or lines of number and text. On the hub, topics and judgements
    are in two other repositories, of crystina-z and of MTEB, whose listings were read, and not the files. MTEB's own task of
    this name has the topics in the language of the documents instead.
    """
    report = ReadingReport()
    topics = list(_topics(first_existing(directory, "topics.0720.utf8.jsonl", "topics.jsonl", _TOPICS_ON_HUB), report))
    parts = [_documents(directory, lang, topics, report) for lang in languages]
    queries: dict[str, JudgedText] = {}
    qrels: dict[str, dict[str, float]] = {}
    left_out: dict[str, int] = {}
    for part in parts:
        queries |= part.queries
        for query_id, grades in part.qrels.items():
            qrels.setdefault(query_id, {}).update(grades)
        for reason, count in part.left_out.items():
            left_out[reason] = left_out.get(reason, 0) + count
    passages = JudgedPassages.read(passage for part in parts for passage in part.passages.items())
    yield from_judged("neuclir", JudgedSet(queries, passages, qrels, left_out))


def _documents(directory: Path, lang: str, topics: list[Text], report: ReadingReport) -> JudgedSet:
    code = _CODES[lang]
    folders = [directory / "data", directory]
    ends = ("jsonl", "jsonl.gz", "parquet")
    files = [path for folder in folders for end in ends for path in folder.glob(f"{code}*.{end}") if "-mt-" not in path.name]
    if not files:
        raise UserError(f"there is no {code}*.jsonl.gz in {directory}")
    documents = (text for path in sorted(set(files)) for text in json_texts(path, report))
    judgements = first_existing(directory, f"2022-qrels.{code}", f"qrels.{code}", _judgements_on_hub(code))
    qrels = record_qrels([judgements], report) if judgements.suffix == ".jsonl" else read_qrels(judgements, report)
    return judged_set(topics, documents, qrels, lang="en", passage_lang=lang, report=report)


def _topics(path: Path, report: ReadingReport) -> Iterator[Text]:
    if path.suffix == ".tsv":
        yield from tsv_texts(path, report)
        return
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
    revision=(
        "2022 topics and qrels; neuclir/neuclir1 at 6d2e868a8748f81e5b4b7f7841f5a0b6030cd0f4, "
        "crystina-z/neuclir at c0d3702dc9e94e5a272763d4d71cd713898616b3, "
        "mteb/neuclir-2022 at 920fc15b81e2324e52163904be663f340235cdea"
    ),
    files="topics.0720.utf8.jsonl, 2022-qrels.CODE and data/CODE*.jsonl.gz for fas, rus, zho",
    citation="""@article{lawrie2023neuclir,
  title = {Overview of the {TREC} 2022 {NeuCLIR} Track},
  author = {Lawrie, Dawn and MacAvaney, Sean and Mayfield, James and McNamee, Paul and Oard, Douglas W. and Soldaini, Luca
    and Yang, Eugene},
  journal = {arXiv:2304.12367},
  year = {2023}
}""",
    read=_sets,
    hub=(
        HubRepository(
            "neuclir/neuclir1",
            "6d2e868a8748f81e5b4b7f7841f5a0b6030cd0f4",
            lambda languages: [f"data/{_CODES[lang]}-00000-of-00001.jsonl.gz" for lang in languages],
        ),
        HubRepository("crystina-z/neuclir", "c0d3702dc9e94e5a272763d4d71cd713898616b3", lambda _: [_TOPICS_ON_HUB]),
        HubRepository(
            "mteb/neuclir-2022",
            "920fc15b81e2324e52163904be663f340235cdea",
            lambda languages: [_judgements_on_hub(_CODES[lang]) for lang in languages],
        ),
    ),
)
