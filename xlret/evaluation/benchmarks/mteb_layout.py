"""The layout in which MTEB keeps retrieval sets on the hub: Parquet files in `NAME-queries`, `NAME-corpus` and `NAME-qrels`."""

from collections.abc import Iterator
from pathlib import Path

from xlret.data.rows import ReadingReport
from xlret.data.sources.judged import judged_set
from xlret.data.sources.qrels import record_qrels
from xlret.data.sources.texts import json_texts
from xlret.errors import UserError
from xlret.evaluation.sets import RetrievalSet, from_judged

PARTS = ("queries", "corpus", "qrels")


def mteb_set(name: str, directory: Path, config: str, query_lang: str, passage_lang: str, prefix: str = "") -> RetrievalSet:
    """One set of a configuration.

    Args:
        name: of the set.
        directory: holds the folders.
        config: what the folders' names begin with.
        query_lang, passage_lang: of the texts.
        prefix: put before every id.

    Raises:
        UserError: a folder is missing or empty.
        DataError: a file is damaged or of another form.
    """
    report = ReadingReport()
    queries, corpus, judgements = (_files(directory / f"{config}-{part}") for part in PARTS)
    judged = judged_set(
        (text for path in queries for text in json_texts(path, report)),
        (text for path in corpus for text in json_texts(path, report)),
        record_qrels(judgements, report),
        lang=query_lang,
        passage_lang=passage_lang,
        report=report,
    )
    return from_judged(name, judged, prefix=prefix)


def present_configs(directory: Path, configs: dict[str, str], languages: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(Language, configuration) of those that are there; all of them where none is, so that the first one is named.

    A language that was asked for by itself must be there.
    """
    present = [lang for lang in languages if (directory / f"{configs[lang]}-qrels").is_dir()]
    chosen = languages if not present or len(languages) < len(configs) else present
    yield from ((lang, configs[lang]) for lang in chosen)


def _files(folder: Path) -> list[Path]:
    files = sorted(path for pattern in ("*.parquet", "*.jsonl*") for path in folder.glob(pattern))
    if not files:
        raise UserError(f"there is no {folder} with Parquet files or JSON lines")
    return files
