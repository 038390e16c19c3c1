"""mMARCO (Bonifacio et al. 2021): MS MARCO passages translated into 13 languages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from xlret.config import PathSetting
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.base import SourceSettings, wanted
from xlret.data.sources.pairs import judged_rows, relevant_pairs
from xlret.data.sources.qrels import are_triples, read_qrels
from xlret.data.sources.texts import either, tsv_texts

LANGUAGES = {
    "ar": "arabic",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fr": "french",
    "hi": "hindi",
    "id": "indonesian",
    "it": "italian",
    "ja": "japanese",
    "nl": "dutch",
    "pt": "portuguese",
    "ru": "russian",
    "vi": "vietnamese",
    "zh": "chinese",
}


class MmarcoSource(SourceSettings):
    """The folder `data/google` of unicamp-dl/mmarco: `collections/NAME_collection.tsv`, `queries/train/NAME_queries.train.tsv`.

    Ids are shared by all languages, so a group has its query and its passage in each.
    """

    format: Literal["mmarco"]
    path: PathSetting
    """The folder `data/google`."""
    pairs: PathSetting
    """`triples.train.ids.small.tsv` of the same data set, or MS MARCO's `qrels.train.tsv`."""
    triples: bool | None = None
    """Whether `pairs` holds triples of ids (query, relevant, not relevant); by default where its name says `triples`."""
    languages: tuple[str, ...] | None = None
    """Only these; all that are there by default."""
    exclude: tuple[str, ...] = ()
    """All but these."""
    source: str = "mMARCO, https://huggingface.co/datasets/unicamp-dl/mmarco"
    licence: str = "Apache 2.0; MS MARCO: non-commercial research"

    def rows(self, report: ReadingReport) -> Iterator[Row]:
        """One group for each relevant pair, in every language that is there.

        Raises:
            UserError: a language that is asked for is not there.
        """
        files_of = {lang: _files(self.path, name) for lang, name in LANGUAGES.items()}
        available = [lang for lang, files in files_of.items() if all(path.exists() for path in files)]
        chosen = wanted(available, self.languages, self.exclude, self.path)
        triples = are_triples(self.pairs) if self.triples is None else self.triples
        relevant = relevant_pairs(read_qrels(self.pairs, report, triples=triples), self.pairs)
        for lang in chosen:
            queries, collection = (tsv_texts(path, report) for path in files_of[lang])
            yield from judged_rows(relevant, queries, collection, lang, lang, self.pairs, report)


def _files(path: Path, name: str) -> tuple[Path, Path]:
    return (
        either(path / "queries" / "train" / f"{name}_queries.train.tsv"),
        either(path / "collections" / f"{name}_collection.tsv"),
    )
