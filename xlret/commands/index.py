"""`xlret index`: build an index of passages, add to it, delete from it, lay it out anew, search it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from pydantic import BeforeValidator, Field, field_validator, model_validator
from rich.console import Console
from rich.text import Text

from xlret.commands.frame import Flat, Languages, new_app, tell
from xlret.config import PathSetting, Settings, settings_from
from xlret.data.rows import ReadingReport
from xlret.errors import UserError
from xlret.files import expand_path
from xlret.search.settings import EncodeSettings, IndexSettings
from xlret.text.languages import LanguageCodes

if TYPE_CHECKING:
    from xlret.search.passages import Passage

EPILOGUE = """\
examples:
  xlret index build indexes/wiki --encoder runs/NAME/model \\
      --passages wiki-1.jsonl.gz wiki-2.jsonl.gz
  xlret index build indexes/mine --encoder runs/NAME/model \\
      --corpus corpora/mine/test --shards 4 --factory IVF,SQ8
  xlret index build indexes/large --encoder runs/NAME/model \\
      --passages wiki.jsonl --shards 8 --workers 4   # as tasks of Ray
  xlret index build indexes/other --vectors indexes/wiki.vectors \\
      --factory HNSW32,SQ8                # without encoding again
  xlret index append indexes/wiki --encoder runs/NAME/model --passages new.jsonl
  xlret index delete indexes/wiki ids.txt # one id a line
  xlret index build indexes/fair --encoder runs/NAME/model --debias project \\
      --passages wiki-1.jsonl.gz          # without the language in vectors
  xlret index compact indexes/wiki
  xlret index search indexes/wiki "Wo liegt Bern?" --languages en sw

The same on a cluster: ray job submit -- python -m jobs.index build ...

passages: JSON lines, Parquet, CSV or TSV with columns id, lang, text, perhaps
title; every other column can be filtered by. Names that BEIR, MS MARCO and
Pyserini give to id and text are known; for others:
  --columns id=number,text=body --drop html
factory: auto chooses by size and says why. Flat and SQfp16 are exact; IVFn,SQ8
is fast and small; HNSWm is fast and larger; PQm and OPQm,PQm are smallest.
Whatever it is, hits are scored by the vectors as stored.
"""
app: App = new_app("index", "Build an index of passages; add to it, delete from it, search it.", EPILOGUE)

Encoding = Annotated[EncodeSettings | None, Parameter(name="--encode")]
IndexDirectory = Annotated[Path, Parameter(help="directory of the index")]
Threads = Annotated[int | None, Parameter(help="for training and filling the index; by default one for each processor")]
_OF_FILES = ("lang", "columns", "drop", "skip_bad_rows")


def _split(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(part.strip() for word in words for part in word.split(","))


Words = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""`a b`, `a,b`, or the flag given again."""


class Source(Settings):
    """Where the passages of an index come from: files, a corpus, or a store of passages that are encoded already."""

    encoder: PathSetting | None = None
    """Directory of the encoder."""
    passages: tuple[PathSetting, ...] = ()
    """Files of passages."""
    corpus: PathSetting | None = None
    """The passages of a prepared corpus."""
    vectors: PathSetting | None = None
    """Passages that are encoded already, as an earlier `index build` kept them."""
    store: PathSetting | None = None
    """Where encoded passages are kept; by default INDEX.vectors, and nowhere once they are appended."""
    languages: LanguageCodes | None = None
    """Only passages in these languages."""
    lang: str | None = Field(None, min_length=1)
    """Language of passages in files that do not say theirs."""
    columns: Words = ()
    """What columns of files are called there, such as id=docid,text=contents."""
    drop: Words = ()
    """Columns of files that are not read, such as html,embedding."""
    skip_bad_rows: bool = False
    """Leave bad rows of files out, and say how many and why, instead of stopping at the first."""

    @field_validator("columns", mode="after")
    @classmethod
    def _pairs(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        for pair in columns:
            if not all(pair.partition("=")):
                raise ValueError(f"{pair!r} is not of the form OURS=THEIRS, such as id=docid")
        return columns

    @model_validator(mode="after")
    def _single(self) -> "Source":
        sources = [name for name in ("passages", "corpus", "vectors") if getattr(self, name)]
        if len(sources) > 1:
            raise ValueError(f"--{sources[0]} and --{sources[1]} are both given; name one of them")
        if self.vectors is None and (not sources or self.encoder is None):
            raise ValueError("name an --encoder with --passages or --corpus, or --vectors that are encoded already")
        idle = {"passages": (), "corpus": _OF_FILES, "vectors": (*_OF_FILES, "store", "languages")}[sources[0]]
        for name in idle:
            if name in self.model_fields_set:
                raise ValueError(f"--{name.replace('_', '-')} changes nothing with --{sources[0]}; leave it out")
        return self


@app.command
def build(
    index: IndexDirectory,
    /,
    *,
    source: Annotated[Source | None, Flat] = None,
    settings: Annotated[IndexSettings | None, Flat] = None,
    encoding: Encoding = None,
    debias: str | None = None,
) -> int:
    """Encode passages and build an index of them, as a new version.

    Args:
        debias: take the language out of all vectors, also of what is added and asked later: project, centre, shift or
            shift-passages, estimated from these passages, or a file of xlret debias
    """
    from xlret.model.debias.component import component_or_method
    from xlret.search.build import build_index
    from xlret.search.from_files import build_from
    from xlret.search.queries import encoded_queries
    from xlret.search.vectors.store import VectorStore

    directory, source, settings = expand_path(index), source or settings_from(Source, {}), settings or IndexSettings()
    chosen = None if debias is None else component_or_method(debias)
    if source.vectors is not None:
        _refuse_encoding(encoding)
        store = VectorStore.open(source.vectors)
        queries = None if source.encoder is None else encoded_queries(store, source.encoder, settings.certificate_queries)
        version = build_index(store, directory, settings, queries=queries, debias=chosen, say=tell)
    else:
        assert source.encoder is not None
        report = _report(source)
        passages = _passages(source, report)
        version = build_from(
            passages, source.encoder, directory, settings, encoding, store=source.store, debias=chosen, say=tell
        )
        _say_skipped(report)
    return _done(version)


@app.command
def append(
    index: IndexDirectory,
    /,
    *,
    source: Annotated[Source | None, Flat] = None,
    replace: bool = False,
    encoding: Encoding = None,
    threads: Threads = None,
) -> int:
    """Add passages to an index.

    Args:
        replace: passages whose ids are there take the old ones' positions; otherwise they are an error
    """
    from xlret.search import edit
    from xlret.search.from_files import append_from, encoding_for
    from xlret.search.vectors.store import VectorStore

    directory, source, count = expand_path(index), source or settings_from(Source, {}), _threads(threads)
    if source.vectors is not None:
        _refuse_encoding(encoding)
        if source.encoder is not None:
            raise UserError("--encoder changes nothing with --vectors; leave it out")
        version = edit.append(directory, VectorStore.open(source.vectors), replace=replace, threads=count, say=tell)
    else:
        assert source.encoder is not None
        given = {} if encoding is None else {name: getattr(encoding, name) for name in encoding.model_fields_set}
        fitting, report = encoding_for(directory, **given), _report(source)
        version = append_from(
            _passages(source, report),
            source.encoder,
            directory,
            fitting,
            store=source.store,
            replace=replace,
            threads=count,
            say=tell,
        )
        _say_skipped(report)
    return _done(version)


@app.command
def delete(index: IndexDirectory, ids: Path, /) -> int:
    """Delete passages from an index.

    Args:
        ids: a file with their ids, one a line
    """
    from xlret.search import edit
    from xlret.search.from_files import read_ids

    return _done(edit.delete(expand_path(index), read_ids(ids), say=tell))


@app.command
def compact(index: IndexDirectory, /, *, shards: int | None = None, threads: Threads = None, workers: int | None = None) -> int:
    """Lay an index out anew, without what was deleted.

    Args:
        shards: how many; by default as before
        workers: shards that are made side by side, by tasks of Ray; 0: one after the other, without Ray. By default as many
            as this machine of the cluster of RAY_ADDRESS has room for, if there is one
    """
    from xlret.search import edit

    if workers is not None and workers < 0:
        raise UserError(f"workers is {workers}; allowed is 0 (without Ray) or more")
    directory, count = expand_path(index), _threads(threads)
    return _done(edit.compact(directory, shards=shards, threads=count, workers=workers, say=tell))


@app.command
def search(
    index: IndexDirectory,
    query: str,
    /,
    *,
    encoder: Path | None = None,
    languages: Languages | None = None,
    top_k: int = 10,
    query_language: str | None = None,
) -> int:
    """Search an index and print the hits.

    Args:
        query: a text in any language
        encoder: directory of the encoder; by default where it was when the index was made
        languages: only passages in these languages
        top_k: how many hits
        query_language: of the query, where the index was built with --debias centre or shift
    """
    from xlret.search.text_index import TextIndex

    console = Console(highlight=False, soft_wrap=True)
    for hit in TextIndex.open(index, encoder).search(query, top_k, languages=languages, query_language=query_language):
        text = f"{hit.title} {hit.text}" if hit.title else hit.text
        console.print(Text.assemble((f"{hit.score:.3f} {hit.lang:7}", "bold"), f" {hit.id}  ", f"{text:.200}"))
    return 0


def _report(source: Source) -> ReadingReport:
    return ReadingReport("skip" if source.skip_bad_rows else "error", option="--skip-bad-rows")


def _passages(source: Source, report: ReadingReport) -> "Iterator[Passage]":
    from xlret.search.from_files import passages_from

    columns = dict(pair.split("=", 1) for pair in source.columns)
    return passages_from(
        source.corpus or source.passages, source.languages, lang=source.lang, columns=columns, drop=source.drop, report=report
    )


def _say_skipped(report: ReadingReport) -> None:
    for line in report.summary():
        print(line)


def _refuse_encoding(encoding: EncodeSettings | None) -> None:
    for name in sorted(encoding.model_fields_set if encoding else ()):
        raise UserError(f"--encode.{name.replace('_', '-')} changes nothing with --vectors; leave it out")


def _threads(given: int | None) -> int:
    return IndexSettings().threads if given is None else given


def _done(version: Path) -> int:
    print(f"{version} is the current version")
    return 0
