"""Mewsli-X (Ruder et al. 2021): mentions in the news of eleven languages, a million entities in fifty."""

import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from xlret.data.read import read_records
from xlret.data.rows import ReadingReport
from xlret.errors import DataError
from xlret.evaluation.benchmarks.base import Benchmark, first_existing
from xlret.evaluation.benchmarks.parallel import ParallelTexts
from xlret.evaluation.sets import RetrievalSet
from xlret.hub import HubRepository
from xlret.text.languages import language

_ENTITIES, _MENTIONS = "candidate_set_entities.jsonl", "wikinews_mentions-test.jsonl"
_ARCHIVE = "raw.tar.gz"
"""What a copy on the hub has both files in."""


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One set: the test mentions of the chosen languages over all 1,003,893 candidates, whatever their language.

    The query is the mention's sentence with `[ ]` around the mention; XTREME-R leaves that form to the system. Passages are
    title and description, some 700 MB. The texts of the articles are put into `wikinews_mentions-test.jsonl` by the data set's
    own script; those of `..._no_text-test.jsonl` cannot be used. The hub's izhx/mewsli-x has what that script made in one
    archive (316 MB, 1 GB unpacked for the time of reading); its listing and program were read, not the archive.
    """
    with _published(directory) as folder:
        texts, report = ParallelTexts(), ReadingReport()
        for where, record in read_records(first_existing(folder, _ENTITIES), report):
            try:
                text = f"{record['title']} {record['description']}"
                texts.add_passage(record["entity_id"], language(record["description_language"]), text)
            except KeyError as error:
                raise DataError(f"{where}: not an entity: no {error}; found: {', '.join(record)}") from error
        for where, record in read_records(first_existing(folder, _MENTIONS), report):
            try:
                lang = language(record["context"]["language"])
                for mention in record["mentions"] if lang in languages else ():
                    query = _marked(record["context"], mention["mention_span"])
                    texts.add_query(str(mention["example_id"]), lang, query, (mention["entity_id"],))
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{where}: not an article with mentions: {error!r}") from error
    yield texts.retrieval_set("mewsli-x")


@contextmanager
def _published(directory: Path) -> Iterator[Path]:
    """The directory itself, or one with the two files out of its archive, in whatever folder of it they are."""
    archive = directory / _ARCHIVE
    if (directory / _ENTITIES).is_file() or not archive.is_file():
        yield directory
        return
    with TemporaryDirectory() as unpacked:
        try:
            with tarfile.open(archive, "r:gz") as files:
                for member in files:
                    name = PurePosixPath(member.name).name
                    content = files.extractfile(member) if name in (_ENTITIES, _MENTIONS) else None
                    if content is not None:
                        with content, (Path(unpacked) / name).open("wb") as copy:
                            shutil.copyfileobj(content, copy)
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise DataError(f"{archive} is damaged or cut short: {error}") from error
        yield Path(unpacked)


def _marked(context: dict[str, Any], span: dict[str, Any]) -> str:
    """The sentence of a mention, the mention in brackets; the whole text where no sentence holds it."""
    text, start, end = context["text"], span["start"], span["end"]
    if text[start:end] != span["text"]:
        raise ValueError(
            f"the text has {text[start:end]!r} where the mention {span['text']!r} should be; is the text filled in?"
        )
    sentences = [each for each in context["sentence_spans"] if each["start"] <= start and end <= each["end"]]
    first, last = (sentences[0]["start"], sentences[0]["end"]) if sentences else (0, len(text))
    return f"{text[first:start]}[ {span['text']} ]{text[end:last]}".strip()


MEWSLI_X = Benchmark(
    name="mewsli-x",
    title="Mewsli-X, test mentions to entities",
    size="14,624 mentions, 1,003,893 entities",
    languages=("ar", "de", "en", "es", "fa", "ja", "pl", "ro", "ta", "tr", "uk"),
    metric="RR@20",
    measures=("RR@20",),
    licence="CC BY-SA 3.0 (Wikipedia) and CC BY 2.5 (WikiNews)",
    source="https://github.com/google-research/google-research/tree/master/dense_representations_for_entity_retrieval",
    revision="mewsli-x_20220518_6; its copy izhx/mewsli-x at 7e3723faa15c6d84cfd56d66cf6cd347be8ad00e",
    files="candidate_set_entities.jsonl and wikinews_mentions-test.jsonl, or raw.tar.gz with both",
    citation="""@inproceedings{ruder2021xtremer,
  title = {{XTREME-R}: Towards More Challenging and Nuanced Multilingual Evaluation},
  author = {Ruder, Sebastian and Constant, Noah and Botha, Jan and Siddhant, Aditya and Firat, Orhan and Fu, Jinlan and
    Liu, Pengfei and Hu, Junjie and Garrette, Dan and Neubig, Graham and Johnson, Melvin},
  booktitle = {Proceedings of EMNLP},
  year = {2021}
}""",
    read=_sets,
    hub=(HubRepository("izhx/mewsli-x", "7e3723faa15c6d84cfd56d66cf6cd347be8ad00e", lambda _: [_ARCHIVE]),),
    task="entity retrieval",
)
