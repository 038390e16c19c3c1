"""mMARCO (Bonifacio et al. 2021): MS MARCO passages translated into 13 languages."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from xlret.calls import Calls, in_turn
from xlret.config import PathSetting
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.base import HubSource, Part, wanted
from xlret.data.sources.pairs import Relevant, judged_rows, relevant_pairs
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


class MmarcoSource(HubSource):
    """The folder `data/google` of unicamp-dl/mmarco: `collections/NAME_collection.tsv`, `queries/train/NAME_queries.train.tsv`.

    Ids are shared by all languages, so a group has its query and its passage in each.
    """

    format: Literal["mmarco"]
    path: PathSetting | None = None
    """The folder `data/google`; or else `hub`."""
    pairs: PathSetting | None = None
    """`triples.train.ids.small.tsv` of the same data set, which `hub` takes by default, or MS MARCO's `qrels.train.tsv`."""
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
        for part in self.parts(report, in_turn):
            yield from part(report)

    def parts(self, report: ReadingReport, calls: Calls) -> list[Part]:
        """A part for each language.

        Raises:
            UserError: a language that is asked for is not there.
        """
        path, pairs = self._files(report)
        files_of = {lang: _files(path, name) for lang, name in LANGUAGES.items()}
        available = [lang for lang, files in files_of.items() if all(file.exists() for file in files)]
        chosen = wanted(available, self.languages, self.exclude, path)
        triples = are_triples(pairs) if self.triples is None else self.triples
        relevant = relevant_pairs(read_qrels(pairs, report, triples=triples), pairs)
        return [partial(_rows_in, relevant, *files_of[lang], lang, pairs) for lang in chosen]

    @model_validator(mode="after")
    def _folder_or_hub(self) -> "MmarcoSource":
        if (self.path is None) == (self.hub is None):
            raise ValueError("give either path or hub")
        if self.path is not None and self.pairs is None:
            raise ValueError("path needs pairs: triples.train.ids.small.tsv or qrels.train.tsv")
        return self

    def _files(self, report: ReadingReport) -> tuple[Path, Path]:
        """The folder `data/google`, and the pairs."""
        if self.path is not None and self.pairs is not None:
            return self.path, self.pairs
        assert self.hub is not None, "a folder or the hub"
        chosen = wanted(LANGUAGES, self.languages, self.exclude, self.hub)
        patterns = [
            f"data/google/{folder}/{LANGUAGES[lang]}_{end}.tsv"
            for lang in chosen
            for folder, end in (("queries/train", "queries.train"), ("collections", "collection"))
        ]
        own_pairs = [] if self.pairs is not None else ["data/triples.train.ids.small.tsv"]
        data = self.fetched(self.hub, [*patterns, *own_pairs], report) / "data"
        return data / "google", self.pairs or data / own_pairs[0].removeprefix("data/")


def _rows_in(
    relevant: Relevant, queries: Path, collection: Path, lang: str, pairs: Path, report: ReadingReport
) -> Iterator[Row]:
    return judged_rows(relevant, tsv_texts(queries, report), tsv_texts(collection, report), lang, lang, pairs, report)


def _files(path: Path, name: str) -> tuple[Path, Path]:
    return (
        either(path / "queries" / "train" / f"{name}_queries.train.tsv"),
        either(path / "collections" / f"{name}_collection.tsv"),
    )
