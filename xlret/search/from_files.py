"""From files of passages to an index: read, encode, build or append, measure. What `xlret index` does, as functions."""

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from xlret.data.corpus import ParallelCorpus
from xlret.data.rows import ReadingReport
from xlret.errors import UserError
from xlret.files import expand_path
from xlret.model.debias.component import DebiasMethod, LanguageComponent
from xlret.search.build import build_index
from xlret.search.edit import append, check_fit
from xlret.search.manifest import current_version, read_manifest
from xlret.search.passages import Passage, passages_of_corpus, read_passages
from xlret.search.queries import encoded_queries
from xlret.search.settings import DType, EncodeSettings, IndexSettings
from xlret.search.vectors.encode import encode_passages
from xlret.search.vectors.fingerprint import about_encoder, encoder_files
from xlret.storage.url import as_url, is_url
from xlret.text.languages import language

Say = Callable[[str], None]


def passages_from(
    source: Path | Sequence[Path],
    languages: Sequence[str] | None = None,
    *,
    lang: str | None = None,
    columns: Mapping[str, str] | None = None,
    drop: Collection[str] = (),
    report: ReadingReport | None = None,
) -> Iterator[Passage]:
    """The passages of a prepared corpus (one directory) or of files, as `read_passages` reads them.

    Args:
        source: a corpus directory, or files.
        languages: only these.
        lang: language of rows of files that do not say theirs.
        columns: `id`, `lang`, `title` or `text` -> what it is called in the files.
        drop: columns of files that are not read.
        report: where bad rows of files are counted, if they are to be left out; by default the first is an error.

    Raises:
        DataError: a bad row.
        UserError: a file cannot be read, or a corpus lacks one of the languages.
    """
    if isinstance(source, Path):
        return passages_of_corpus(ParallelCorpus.open(expand_path(source)), languages)
    files = [expand_path(path) for path in source]
    passages = read_passages(files, lang=lang, columns=columns, drop=drop, report=report)
    if languages is None:
        return passages
    wanted = {language(code) for code in languages}
    return (passage for passage in passages if passage.lang in wanted)


def build_from(
    passages: Iterable[Passage],
    encoder: Path,
    out: Path,
    settings: IndexSettings | None = None,
    encoding: EncodeSettings | None = None,
    *,
    store: Path | None = None,
    debias: LanguageComponent | DebiasMethod | None = None,
    say: Say = print,
) -> Path:
    """Encodes passages, builds an index of them, and measures it with queries made of titles and first sentences.

    Args:
        passages: in an order that is the same at every call: encoding that was killed goes on where it stopped.
        encoder: directory of the encoder.
        out: directory of the index.
        settings: how to build.
        encoding: how to encode.
        store: where encoded passages are kept, their language in them; by default `OUT.vectors`.
        debias: as for `build_index`.
        say: told what is done and why.

    Returns:
        The new version's directory.

    Raises:
        UserError: as `encode_passages` and `build_index`.
    """
    settings = settings or IndexSettings()
    encoded = encode_passages(passages, encoder, store or beside(out, "vectors"), encoding)
    queries = encoded_queries(encoded, expand_path(encoder), settings.certificate_queries)
    return build_index(encoded, out, settings, queries=queries, debias=debias, say=say)


def append_from(
    passages: Iterable[Passage],
    encoder: Path,
    index: Path,
    encoding: EncodeSettings | None = None,
    *,
    store: Path | None = None,
    replace: bool = False,
    threads: int = 1,
    say: Say = print,
) -> Path:
    """Encodes passages and adds them to an index. That they fit is checked before anything is encoded.

    Args:
        passages: in an order that is the same at every call.
        encoder: directory of the encoder that the index was made with.
        index: directory of the index.
        encoding: how to encode; see `encoding_for`.
        store: where encoded passages are kept; by default nowhere, once the index has them.
        replace: passages whose ids are in the index take the places of the old ones.
        threads: for filling the shard.
        say: told what is done.

    Returns:
        The new version's directory.

    Raises:
        UserError: another encoder, ids that are there already, or as `encode_passages`.
    """
    encoding = encoding or encoding_for(index)
    check_appendable(index, encoder, encoding.store)
    kept = store or beside(_on_disk(index), "appended.vectors")
    encoded = encode_passages(passages, encoder, kept, encoding, shared=not is_url(index))
    version = append(index, encoded, replace=replace, threads=threads, say=say)
    if store is None:
        shutil.rmtree(kept)
    return version


def _on_disk(index: Path) -> Path:
    """Where what an index gets is kept meanwhile: beside it, or for one at a URL on this machine."""
    if not is_url(index):
        return index
    from xlret.storage.cache import work_path

    path = work_path(as_url(index))
    path.parent.mkdir(exist_ok=True)
    return path


def encoding_for(index: Path, **settings: object) -> EncodeSettings:
    """Settings for what is to be appended to an index: vectors are stored as they are there.

    Raises:
        UserError: there is no index.
    """
    return EncodeSettings.model_validate({"store": read_manifest(current_version(index)).dtype, **settings})


def check_appendable(index: Path, encoder: Path, dtype: DType) -> None:
    """Checks that what an encoder makes, stored as `dtype`, can be appended to an index; encodes nothing.

    Raises:
        UserError: it cannot.
    """
    manifest, directory = read_manifest(current_version(index)), expand_path(encoder)
    about = about_encoder(directory, encoder, encoder_files(directory), manifest.dimension)
    check_fit(manifest, manifest.dimension, dtype, about)


def read_ids(path: Path) -> list[str]:
    """Ids from a file, one a line.

    Raises:
        UserError: the file cannot be read as UTF-8.
    """
    try:
        lines = expand_path(path).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read ids from {path}: {error}") from error
    return [line for line in map(str.strip, lines) if line]  # ids neither begin nor end with blanks


def beside(index: Path, ending: str) -> Path:
    """A path beside an index: `wiki` -> `wiki.vectors`."""
    return index.with_name(f"{index.name}.{ending}")
