"""mMARCO (Bonifacio et al. 2021): MS MARCO passages translated into 13 languages."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from xlret.calls import Calls, in_turn
from xlret.config import PathSetting
from xlret.data.foresee import Foreseen
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.base import HubSource, Part, wanted
from xlret.data.sources.pairs import Relevant, judged_rows, relevant_pairs
from xlret.data.sources.qrels import are_triples, read_qrels
from xlret.data.sources.texts import either, tsv_texts
from xlret.hub import listed

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

PAIRS = "data/triples.train.ids.small.tsv"
_PAIRS, _QUERIES, _PASSAGES = 532_761, 808_731, 8_841_823
"""Published counts of MS MARCO: relevant pairs and queries of its training part, passages of its collection."""


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

    def foreseen(self) -> Foreseen:
        """From the sizes of the files, here or on the hub, and the published counts of MS MARCO."""
        sizes, fetched_bytes = self._sizes()
        languages = [lang for lang in LANGUAGES if all(name in sizes for name in _names(lang))]
        chosen = wanted(languages, self.languages, self.exclude, self.path or self.hub)
        text_bytes = 0
        for lang in chosen:
            queries, collection = (sizes[name] for name in _names(lang))
            text_bytes += queries * _PAIRS // _QUERIES + collection * _PAIRS // _PASSAGES
        needed = {name for lang in chosen for name in _names(lang)} | {PAIRS}
        return Foreseen(
            files={name: size for name, size in sizes.items() if name in needed},
            fetched_bytes=sum(size for name, size in sizes.items() if name in needed) if fetched_bytes else 0,
            languages=tuple(chosen),
            rows=2 * _PAIRS * len(chosen),
            groups=_PAIRS,
            text_bytes=text_bytes,
            notes=[f"{_PAIRS:,} relevant pairs as in MS MARCO's qrels.train.tsv; the triples may name some fewer"],
        )

    def _sizes(self) -> tuple[dict[str, int], bool]:
        """Bytes of the files by their names within the data set, and whether they are still to be fetched."""
        if self.hub is not None:
            return listed(self.hub, self.commit(self.hub)), True
        assert self.path is not None, "a folder or the hub"
        names = [name for lang in LANGUAGES for name in _names(lang)]
        paths = {name: either(self.path / Path(name).relative_to("data/google")) for name in names}
        paths[PAIRS] = self.pairs or Path()
        return {name: path.stat().st_size for name, path in paths.items() if path.is_file()}, False

    def _files(self, report: ReadingReport) -> tuple[Path, Path]:
        """The folder `data/google`, and the pairs."""
        if self.path is not None and self.pairs is not None:
            return self.path, self.pairs
        assert self.hub is not None, "a folder or the hub"
        chosen = wanted(LANGUAGES, self.languages, self.exclude, self.hub)
        patterns = [name for lang in chosen for name in _names(lang)]
        own_pairs = [] if self.pairs is not None else [PAIRS]
        data = self.fetched(self.hub, [*patterns, *own_pairs], report)
        return data / "data/google", self.pairs or data / PAIRS


def _names(lang: str) -> tuple[str, str]:
    """The files of a language in the data set: queries and collection."""
    name = LANGUAGES[lang]
    return (
        f"data/google/queries/train/{name}_queries.train.tsv",
        f"data/google/collections/{name}_collection.tsv",
    )


def _rows_in(
    relevant: Relevant, queries: Path, collection: Path, lang: str, pairs: Path, report: ReadingReport
) -> Iterator[Row]:
    return judged_rows(relevant, tsv_texts(queries, report), tsv_texts(collection, report), lang, lang, pairs, report)


def _files(path: Path, name: str) -> tuple[Path, Path]:
    return (
        either(path / "queries" / "train" / f"{name}_queries.train.tsv"),
        either(path / "collections" / f"{name}_collection.tsv"),
    )
