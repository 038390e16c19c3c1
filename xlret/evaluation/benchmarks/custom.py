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
from xlret.evaluation.benchmarks.lareqa import lareqa_set
from xlret.evaluation.sets import RetrievalSet, from_judged
from xlret.text.languages import language

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

    A directory with `LANG.json` files of LAReQA's form is one pool of their sentences, see `lareqa_set`; any languages.

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
    if parallel := lareqa_languages(data):
        if lang is not None or passage_lang is not None:
            raise UserError(
                f"{data}: the name of each file is its language ({', '.join(parallel)}); leave lang and passage_lang out"
            )
        chosen = parallel if languages is None else tuple(sorted({language(code) for code in languages}))
        return lareqa_set(f"custom/{data.name}", data, chosen)
    report = ReadingReport(on_bad_row)
    judged = read_judged(data, split=split, lang=lang or UNKNOWN, passage_lang=passage_lang, report=report)
    if report.skipped:
        judged.left_out["rows that cannot be read, such as " + report.sample[0]] = report.skipped
    return from_judged(f"custom/{data.name}", judged, languages=languages)


def lareqa_languages(data: Path) -> tuple[str, ...]:
    """The languages of a directory that holds files of LAReQA's form, `LANG.json` or `LANG.json.gz`, and no other JSON.

    Which languages they are is open: each file whose name is a BCP-47 code is read. Empty for any other directory.
    """
    if not data.is_dir():
        return ()
    names = [path.name.removesuffix(".gz") for path in data.iterdir()]
    if any(name.startswith(("qrels", "corpus.", "collection.", "topics")) for name in names):
        return ()
    stems = sorted({name.removesuffix(".json") for name in names if name.endswith(".json")})
    return tuple(stems) if all(map(_is_code, stems)) else ()


def _is_code(text: str) -> bool:
    try:
        return language(text) == text
    except UserError:
        return False


def is_collection(path: Path) -> bool:
    """Whether a path looks like a test collection with judgements, which no prepared corpus does."""
    if path.is_file():
        return path.name.removesuffix(".gz").endswith(".json")
    if not path.is_dir() or (path / GROUPS).exists():
        return False
    if lareqa_languages(path):
        return True
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
        "(MS MARCO), topics*, qrels* and docs* (TREC), LANG.json of LAReQA's form in any languages, or be one SQuAD file"
    ),
    citation="none: it is your own",
    read=_sets,
)
