"""XTREME-UP's cross-language retrieval (Ruder et al. 2023): questions in under-represented languages, English passages."""

from collections.abc import Iterator
from pathlib import Path

from xlret.data.read import read_records
from xlret.data.rows import ReadingReport
from xlret.errors import DataError
from xlret.evaluation.benchmarks.base import Benchmark, first_existing
from xlret.evaluation.benchmarks.parallel import ParallelTexts
from xlret.evaluation.sets import RetrievalSet

_LANGUAGES = (
    *("ar", "as", "bho", "bn", "brx", "fi", "gbm", "gom", "gu", "hi", "hne", "kn", "ko", "mai", "ml", "mni", "mr", "mwr", "or"),
    *("pa", "ps", "ru", "sa", "ta", "te", "ur"),
)


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One set: the test questions of all languages over the English passages of `index.jsonl`.

    Records have `id, title, context, question`; those of the index have no question. A question's passage is the one
    of the same title and context, in the index or not.
    """
    folder = directory / "retrieval_cross_lang" if (directory / "retrieval_cross_lang").is_dir() else directory
    texts = ParallelTexts()
    key_of: dict[str, str] = {}

    def passage_key(where: str, record: dict[str, object]) -> str:
        if not isinstance(record.get("context"), str) or record.get("id") is None:
            raise DataError(f"{where}: no id or context; found: {', '.join(record)}")
        text = " ".join(filter(None, (str(record.get("title") or ""), str(record["context"]))))
        key = key_of.setdefault(text, str(len(key_of)))
        texts.add_passage(key, "en", text)
        return key

    for where, record in read_records(first_existing(folder, "index.jsonl"), ReadingReport()):
        passage_key(where, record)
    indexed = len(key_of)
    for lang in languages:
        for where, record in read_records(first_existing(folder, f"test/{lang}.jsonl"), ReadingReport()):
            key = passage_key(where, record)
            if not isinstance(record.get("question"), str):
                raise DataError(f"{where}: no question; found: {', '.join(record)}")
            texts.add_query(str(record["id"]), lang, record["question"], (key,))
    texts.leave_out("passages of questions that the index lacks, which are searched all the same", len(key_of) - indexed)
    yield texts.retrieval_set("xtreme-up")


XTREME_UP = Benchmark(
    name="xtreme-up",
    title="XTREME-UP, cross-language retrieval, test",
    languages=_LANGUAGES,
    metric="mrr@10",
    licence="by part, as its release says; code: Apache 2.0",
    source="https://storage.googleapis.com/xtreme-up/xtreme-up-v1.1.jsonl.tgz",
    revision="v1.1, the name of its archive; no checksum is known to us",
    files="retrieval_cross_lang/{index.jsonl,test/LANG.jsonl}",
    by_hand=("fetch and unpack xtreme-up-v1.1.jsonl.tgz; its folder retrieval_cross_lang, or the one above, is what to give"),
    citation="""@inproceedings{ruder2023xtremeup,
  title = {{XTREME-UP}: A User-Centric Scarce-Data Benchmark for Under-Represented Languages},
  author = {Ruder, Sebastian and Clark, Jonathan H. and Gutkin, Alexander and Kale, Mihir and Ma, Min and Nicosia, Massimo and
    others},
  booktitle = {Findings of EMNLP},
  year = {2023}
}""",
    read=_sets,
)
