"""The user's own test collections, judged: in the layout of BEIR, MS MARCO, TREC or SQuAD, whole, with their grades."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from xlret.data.manifest import GROUPS, CorpusManifest
from xlret.data.rows import BadRowPolicy, ReadingReport
from xlret.data.sources.judged import read_judged
from xlret.data.sources.texts import either
from xlret.errors import UserError
from xlret.evaluation.benchmarks.base import Benchmark
from xlret.evaluation.sets import RetrievalSet, from_judged

UNKNOWN = "mul"
"""What queries and passages are put under whose language nobody says (BCP-47: several languages)."""


def custom_set(
    data: Path,
    *,
    split: str = "test",
    lang: str | None = None,
    passage_lang: str | None = None,
    languages: Iterable[str] | None = None,
    on_bad_row: BadRowPolicy = "error",
) -> RetrievalSet:
    """A test collection as one retrieval set: all passages, judged or not, all judgements with their grades.

    Args:
        data: a directory, or the one file of SQuAD's form, see `read_judged`.
        split: which judgements, where there are several.
        lang: language of queries and passages that do not say theirs in a field `lang`; `UNKNOWN` by default.
        passage_lang: language of such passages where it is another.
        languages: only queries and passages in these.
        on_bad_row: whether bad rows are an error or left out and counted.

    Raises:
        UserError: there is no collection, or none in these languages.
        DataError: a bad row, or a file of another form.
    """
    if (data / GROUPS).is_file():
        raise UserError(f"{data} is a prepared corpus, not a test collection with judgements; give it as --corpus")
    report = ReadingReport(on_bad_row)
    judged = read_judged(data, split=split, lang=lang or UNKNOWN, passage_lang=passage_lang, report=report)
    if report.skipped:
        judged.left_out["rows that cannot be read, such as " + report.sample[0]] = report.skipped
    return from_judged(f"custom/{data.name}", judged, languages=languages)


def is_collection(path: Path) -> bool:
    """Whether a path looks like a test collection with judgements, which no prepared corpus does."""
    if path.is_file():
        return path.name.removesuffix(".gz").endswith(".json")
    if not path.is_dir() or (path / GROUPS).exists():
        return False
    return either(path / "collection.tsv").exists() or any(entry.name.startswith("qrels") for entry in path.iterdir())


def pairs_alone(manifest: CorpusManifest) -> str | None:
    """What a corpus lacks that was prepared from a collection with judgements, in a sentence; None for any other corpus.

    Each relevant pair of such a collection becomes a group: fine for training and to compare runs, and too easy as a test.
    """
    made_from = re.search(r'"format": "(beir|msmarco|trec)"', manifest.made_by)
    if made_from is None:
        return None
    return (
        f"made of the relevant pairs of a {made_from[1]} collection: passages that nobody judged relevant, and grades, are not "
        "in it, so that numbers come out too high; --benchmark custom --data DIRECTORY reads the collection whole"
    )


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    yield custom_set(directory, languages=languages or None)


CUSTOM = Benchmark(
    name="custom",
    title="your own test collection with judgements",
    languages=(),
    metric="ndcg@10",
    licence="not stated",
    source="you",
    revision="not stated",
    files=(
        "corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv (BEIR), collection.tsv, queries.SPLIT.tsv and qrels.SPLIT.tsv "
        "(MS MARCO), topics*, qrels* and docs* (TREC), or be one SQuAD file"
    ),
    citation="none: it is your own",
    read=_sets,
)
