"""An index that is asked with texts: the index and the encoder that it was made with, in this process."""

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.files import expand_path
from xlret.model.debias.component import DebiasMethod, LanguageComponent, component_or_method
from xlret.search.balance import Balance, balanced_order
from xlret.search.build import build_index
from xlret.search.calibration import CALIBRATION, Calibration
from xlret.search.debias import read_component
from xlret.search.filters import Filter, filter_of
from xlret.search.from_files import Say, beside
from xlret.search.index import SearchIndex
from xlret.search.metadata import Value
from xlret.search.passage_form import is_blank
from xlret.search.passages import Passage, passages_of_corpus
from xlret.search.queries import encoded_queries
from xlret.search.query import SearchOptions, check_options, indexed_languages
from xlret.search.same_encoder import check_encodes_alike
from xlret.search.settings import EncodeSettings, IndexSettings
from xlret.search.vectors.encode import encode_passages
from xlret.search.vectors.fingerprint import encoder_files, same_vectors
from xlret.text.languages import language

if TYPE_CHECKING:
    from xlret.model.encoder import Encoder


class Hit(NamedTuple):
    """A passage that was found for a query."""

    id: str
    score: float
    """Inner product of the vectors of query and passage: their cosine, at most 1."""
    lang: str
    title: str | None
    text: str
    metadata: dict[str, Value]


class TextIndex:
    """An index together with its encoder.

    Example:
        index = TextIndex.build(encoder, passages)
        for hit in index.search("Wo liegt Bern?", k=5, languages=["de", "sw"], balance="quota"):
            print(f"{hit.score:.3f} {hit.lang} {hit.text}")
    """

    def __init__(self, index: SearchIndex, encoder: "Encoder") -> None:
        self.index = index
        self.encoder = encoder
        self._calibration: Calibration | None = None
        if "calibration" in index.manifest.files:
            self._calibration = Calibration.load(index.path / CALIBRATION)
        self._component = read_component(index.path, index.manifest)

    @classmethod
    def open(cls, path: Path, encoder: "Path | Encoder | None" = None) -> "TextIndex":
        """Opens an index directory (its current version) or a version directory, and verifies every file of it.

        Args:
            path: the directory.
            encoder: directory of the encoder, or the encoder itself, which encodes some passages anew to be compared; by
                default it is looked for where it was when the index was made.

        Raises:
            UserError: there is no index, or the encoder is not the one that the index was made with.
            CorruptError: a file is missing, damaged or foreign.
        """
        index = SearchIndex.open(expand_path(Path(path)))
        if encoder is None or isinstance(encoder, str | Path):
            from xlret.model.encoder import Encoder

            made_with = index.manifest.encoder
            directory = expand_path(Path(encoder or made_with.get("path", "")))
            if not same_vectors(made_with, directory, encoder_files(directory)):
                raise UserError(f"{directory} is not the encoder of this index ({made_with.get('path')}); name that one")
            encoder = Encoder.load(directory)
        else:
            check_encodes_alike(index, encoder)
        return cls(index, encoder)

    @classmethod
    def build(
        cls,
        encoder: "Encoder",
        passages: Iterable[Passage] | ParallelCorpus,
        out: Path | None = None,
        settings: IndexSettings | None = None,
        encoding: EncodeSettings | None = None,
        *,
        debias: LanguageComponent | DebiasMethod | str | None = None,
        say: Say = lambda line: None,
        progress: bool = False,
    ) -> "TextIndex":
        """Encodes passages in this process and builds an index of them. For millions of passages: `xlret index build`.

        Args:
            encoder: any; it is saved at `OUT.encoder`.
            passages: with ids that are one passage's alone; or a corpus, whose passages get ids `GROUP:LANG`.
            out: directory of the index; `OUT.vectors` keeps the encoded passages. By default all is in a temporary directory
                that goes when the index is no longer used.
            settings: how to build; by default in one shard, and exact where that is fast.
            encoding: how to encode; with `encoders` at None it runs here, without Ray.
            debias: takes the language out of all vectors: a method (`shift`, `centre`, `shift-passages`, `project`), estimated
                from these passages, or a component or a file of `xlret debias`.
            say: told what is done and why.
            progress: whether to draw bars.

        Raises:
            DataError: a bad passage.
            UserError: no passages, settings that do not fit them, a full disk, or `OUT.encoder` or `OUT.vectors` is another's.
        """
        temporary = Path(tempfile.mkdtemp(prefix="xlret-index-")) if out is None else None
        try:
            if isinstance(passages, str | Path) or not isinstance(passages, Iterable | ParallelCorpus):
                raise UserError(f"passages are a {type(passages).__name__}; give a corpus (Corpus.open) or several Passage")
            target = temporary / "index" if temporary is not None else expand_path(Path(out or ""))
            saved = _saved(encoder, beside(target, "encoder"))
            settings, encoding = settings or IndexSettings(), encoding or EncodeSettings()
            if encoding.encoders is None:
                on_gpu = encoder.device.type == "cuda"
                encoding = encoding.model_copy(update={"encoders": 0, "gpu": on_gpu})
            vectors = beside(target, "vectors")
            if isinstance(passages, ParallelCorpus):
                passages = passages_of_corpus(passages)
            store = encode_passages(passages, saved, vectors, encoding, show=say, progress=progress, loaded=encoder)
            queries = encoded_queries(store, saved, settings.certificate_queries, encoder)
            chosen = component_or_method(debias) if isinstance(debias, str) else debias
            version = build_index(store, target, settings, queries=queries, debias=chosen, say=say)
            index = cls(SearchIndex.open(version, verify_files=False), encoder)
        except BaseException:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
            raise
        if temporary is not None:
            weakref.finalize(index, shutil.rmtree, temporary, ignore_errors=True)
        return index

    @property
    def languages(self) -> Mapping[str, int]:
        """Passages in each language."""
        return self.index.manifest.languages

    def __len__(self) -> int:
        return self.index.manifest.count

    def __repr__(self) -> str:
        return f"TextIndex({len(self):,} passages in {len(self.languages)} languages, {self.index.manifest.factory})"

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        languages: Sequence[str] | None = None,
        balance: Balance = "none",
        filter: Mapping[str, Any] | Filter | None = None,
        exact: bool = False,
        query_language: str | None = None,
    ) -> list[Hit]:
        """The best `min(k, passages in question)` passages for a query, best first, ties by id.

        Args:
            query: a text.
            k: how many hits.
            languages: only passages in these; `pt` means `pt-BR` too where the index has no plain `pt`.
            balance: `none` (by score), or an order that is fair between languages: `quota` or `calibrated` (search/balance.py).
            filter: on metadata: `{"year": 2020}`, `{"year": {"in": [2019, 2020]}}`, `{"year": {"gte": 2019, "lt": 2021}}`.
            exact: compare with every passage, whatever the kind of index.
            query_language: of the query. It matters where the index carries a language component by `centre` or `shift`;
                by default the average language is taken.

        Raises:
            UserError: a language or field that the index has not, or a number out of range.

        Cost: encoding, and then one search of the index; with a balance one for each language.
        """
        [hits] = self.search_many(
            [query], k, languages=languages, balance=balance, filter=filter, exact=exact, query_language=query_language
        )
        return hits

    def search_many(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        languages: Sequence[str] | None = None,
        balance: Balance = "none",
        filter: Mapping[str, Any] | Filter | None = None,
        exact: bool = False,
        query_language: str | None = None,
    ) -> list[list[Hit]]:
        """`search` for several queries, which are encoded together: a list of hits for each."""
        for query in queries:
            if not isinstance(query, str) or is_blank(query):
                raise UserError(f"query is {query!r:.40}; give a text that is not blank, or several to search_many")
        if isinstance(languages, str):
            languages = [languages]
        chosen = None if languages is None else indexed_languages(languages, self.languages)
        options = SearchOptions(top_k=k, languages=chosen, filter=filter_of(filter), exact=exact)
        check_options(options, self.languages, self.index.manifest.fields)  # before anything is encoded
        asked_in = None if query_language is None else language(query_language)
        vectors_QD = self.encoder.encode(queries, "query")
        if self._component is not None:
            vectors_QD = self._component.remove(vectors_QD, [asked_in] * len(queries), "query")
        if balance == "none":
            return self._hits(vectors_QD, options)
        return [self._balanced(vector_D, options, balance) for vector_D in vectors_QD]

    def _hits(self, vectors_QD: NDArray[np.float32], options: SearchOptions | Sequence[SearchOptions]) -> list[list[Hit]]:
        hits = self.index.search(vectors_QD, options)
        return [
            [
                Hit(passage.id, score, passage.lang, passage.title, passage.text, passage.metadata)
                for score, passage in zip(hits.scores[number].tolist(), self.index.passages(hits, number), strict=True)
            ]
            for number in range(len(vectors_QD))
        ]

    def _balanced(self, vector_D: NDArray[np.float32], options: SearchOptions, balance: Balance) -> list[Hit]:
        """The best of each language by itself, put in order together."""
        codes = options.languages or tuple(code for code, count in self.languages.items() if count)
        by_language = [replace(options, languages=(code,)) for code in codes]
        hits = list(chain.from_iterable(self._hits(np.tile(vector_D, (len(codes), 1)), by_language)))
        order = balanced_order(
            balance,
            [hit.id for hit in hits],
            np.array([hit.score for hit in hits], np.float32),
            [hit.lang for hit in hits],
            options.top_k,
            calibration=self._calibration,
            query_vector_D=vector_D,
        )
        return [hits[position] for position in order]


def _saved(encoder: "Encoder", directory: Path) -> Path:
    """Saves an encoder, or sees that it is there already."""
    if directory.is_dir():
        with tempfile.TemporaryDirectory() as fresh:
            encoder.save(Path(fresh) / "encoder")
            if encoder_files(Path(fresh) / "encoder") != encoder_files(directory):
                raise UserError(f"{directory} holds another encoder; choose another directory for the index, or remove it")
    else:
        encoder.save(directory)
    return directory
