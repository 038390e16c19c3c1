"""Builds, changes and tries an index: `python -m jobs.index --encoder DIR --passages FILES --out DIR`."""

import argparse
import os
import shutil
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from jobs.cli import run_job
from xlret.config import settings_from
from xlret.data.corpus import ParallelCorpus
from xlret.data.rows import BadRowPolicy
from xlret.errors import UserError
from xlret.files import expand_path
from xlret.model.encoder import Encoder
from xlret.search.build import build_index
from xlret.search.edit import append, check_fit, compact, delete
from xlret.search.index import SearchIndex
from xlret.search.manifest import current_version, read_manifest
from xlret.search.passages import passages_of_corpus, read_passages
from xlret.search.query import SearchOptions
from xlret.search.sampled import sampled_queries
from xlret.search.settings import EncodeSettings, IndexSettings
from xlret.search.vectors.encode import encode_passages
from xlret.search.vectors.fingerprint import about_encoder, encoder_files
from xlret.search.vectors.store import VectorStore
from xlret.text.languages import language

EXAMPLE = """\
examples:
  python -m jobs.index --encoder runs/NAME/model --passages wiki-*.jsonl.gz --out indexes/wiki
  python -m jobs.index --encoder runs/NAME/model --corpus corpora/mine/test --out indexes/mine --shards 4 --factory IVF,SQ8
  python -m jobs.index --vectors indexes/wiki.vectors --out indexes/other --factory HNSW32,SQ8   # without encoding again
  python -m jobs.index --out indexes/wiki --append --passages new.jsonl --encoder runs/NAME/model [--replace]
  python -m jobs.index --out indexes/wiki --delete ids.txt                                       # one id a line
  python -m jobs.index --out indexes/wiki --compact [--shards 2]
  python -m jobs.index --out indexes/wiki --search "Wo liegt Bern?" --languages en sw

passages: JSON lines, Parquet, CSV or TSV with columns id, lang, text, perhaps title; every other column can be filtered by.
factory: auto chooses by size and says why. Flat and SQfp16 are exact; IVFn,SQ8 is fast and small; HNSWm is fast and larger;
PQm and OPQm,PQm are smallest. Whatever it is, hits are scored by the vectors as stored.
"""


_READING = {"lang", "skip_bad_rows"}
_ENCODING = _READING | {"store", "languages", "gpu", "precision", "vector_type"}
_PASSAGES = _ENCODING | {"encoder", "passages", "corpus", "vectors", "threads"}
_USED = {
    "": _PASSAGES | {"shards", "factory", "recall", "exact_rows", "seed"},
    "append": _PASSAGES | {"replace"},
    "delete": set[str](),
    "compact": {"shards", "threads"},
    "search": {"encoder", "languages", "top_k"},
}
"""Options that each task looks at; the first one builds an index."""


def main(argv: Sequence[str] | None = None) -> int:
    """Does what is asked with one index."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.index",
        description="Encodes passages and builds an index of them; adds to it, deletes from it, tries it.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="INDEX", help="directory of the index")
    add("--encoder", type=Path, help="directory of the encoder")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--passages", type=Path, nargs="+", help="files of passages")
    source.add_argument("--corpus", type=Path, help="the passages of a prepared corpus")
    source.add_argument("--vectors", type=Path, help="passages that are encoded already")
    add("--store", type=Path, help="where encoded passages are kept (default: INDEX.vectors)")
    add("--languages", nargs="+", help="only these languages (of --passages or --corpus, or in --search)")
    add("--lang", help="language of passages that do not say theirs")
    add("--skip-bad-rows", action="store_true", default=None, help="leave bad rows out instead of stopping")
    add("--gpu", action="store_true", default=None, help="encode on GPUs")
    add("--precision", choices=("float32", "bfloat16"), help="of encoding (default float32)")
    add("--vector-type", choices=("float16", "float32"), help="how vectors are stored (default float16; --append: as there)")
    add("--shards", type=int, help="how many shards (default 1; --compact: as before)")
    add("--factory", help="kind of index, see below (default auto)")
    add("--recall", type=float, help="recall@10 that the default nprobe or ef is to reach (default 0.97)")
    add("--exact-rows", type=int, help="searches restricted to so few passages are exact (default 50000)")
    add("--threads", type=int, help="for training and filling the index (default: one for each processor)")
    add("--seed", type=int, help="of what is drawn in training (default 0)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--append", action="store_true", help="add passages to the index")
    what.add_argument("--delete", type=Path, metavar="IDS.txt", help="delete the passages with these ids, one a line")
    what.add_argument("--compact", action="store_true", help="lay the index out anew, without what was deleted")
    what.add_argument("--search", metavar="TEXT", help="search the index and print what comes back")
    add("--replace", action="store_true", default=None, help="with --append: passages whose ids are there replace them")
    add("--top-k", type=int, help="with --search (default 10)")
    arguments = parser.parse_args(argv)
    _refuse_idle(arguments)
    arguments.out = expand_path(arguments.out)
    threads = (os.cpu_count() or 1) if arguments.threads is None else arguments.threads
    console = Console(highlight=False, soft_wrap=True)

    def say(line: str) -> None:
        console.print(line, markup=False)

    if arguments.search is not None:
        _search(arguments, console)
        return 0
    if arguments.delete is not None:
        version = delete(arguments.out, _ids(arguments.delete), say=say)
    elif arguments.compact:
        version = compact(arguments.out, shards=arguments.shards, threads=threads, say=say)
    elif arguments.append:
        _fit_to_index(arguments)  # before anything is encoded for it
        place = arguments.store or arguments.out.with_name(f"{arguments.out.name}.appended.vectors")
        store = _store(arguments, place)
        version = append(arguments.out, store, replace=bool(arguments.replace), threads=threads, say=say)
        if arguments.store is None and arguments.vectors is None:
            shutil.rmtree(place)  # the index has them now
    else:
        settings = _settings(arguments)
        store = _store(arguments, arguments.store or arguments.out.with_name(f"{arguments.out.name}.vectors"))
        version = build_index(store, arguments.out, settings, queries=_queries(arguments, store, settings), say=say)
    say(f"{version} is the current version")
    return 0


def _refuse_idle(arguments: argparse.Namespace) -> None:
    """Raises UserError for an option that would change nothing: whoever gave it expects that it does."""
    task = next((one for one in ("append", "delete", "compact", "search") if getattr(arguments, one) not in (None, False)), "")
    used = _USED[task]
    if task in ("", "append") and arguments.vectors is not None:
        used = used - _ENCODING - ({"encoder"} if task else set())
    elif task in ("", "append") and arguments.corpus is not None:
        used = used - _READING
    given = {name for name, value in vars(arguments).items() if value is not None}
    for name in sorted(given - used - {"out", "append", "delete", "compact", "search"}):
        option = f"--{name.replace('_', '-')}"
        source = next((f" --{one}" for one in ("vectors", "corpus") if getattr(arguments, one) is not None), "")
        where = f"--{task}{source}" if task else f"building an index{source and ' from'}{source}"
        raise UserError(f"{option} changes nothing in {where}; leave it out")


def _settings(arguments: argparse.Namespace) -> IndexSettings:
    names = ("shards", "factory", "seed", "recall", "exact_rows", "threads")
    return settings_from(IndexSettings, _given(arguments, *names))


def _given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def _store(arguments: argparse.Namespace, place: Path) -> VectorStore:
    """The passages, encoded; those that were encoded already are not again."""
    if arguments.vectors is not None:
        return VectorStore.open(expand_path(arguments.vectors))
    if arguments.encoder is None or (arguments.passages is None and arguments.corpus is None):
        raise UserError("name an --encoder with --passages or --corpus, or --vectors that are encoded already")
    if arguments.corpus is not None:
        passages = passages_of_corpus(ParallelCorpus.open(expand_path(arguments.corpus)), arguments.languages)
    else:
        on_bad_row: BadRowPolicy = "skip" if arguments.skip_bad_rows else "error"
        files = [expand_path(path) for path in arguments.passages]
        passages = read_passages(files, on_bad_row=on_bad_row, lang=arguments.lang)
        if arguments.languages is not None:
            wanted = {language(one) for one in arguments.languages}
            passages = (one for one in passages if one.lang in wanted)
    values = _given(arguments, "gpu", "precision")
    if arguments.vector_type is not None:
        values["store"] = arguments.vector_type
    return encode_passages(passages, arguments.encoder, place, settings_from(EncodeSettings, values))


def _fit_to_index(arguments: argparse.Namespace) -> None:
    """Raises UserError where what is to be encoded and appended would not fit the index."""
    manifest = read_manifest(current_version(arguments.out))
    arguments.vector_type = arguments.vector_type or manifest.dtype
    if arguments.encoder is not None:
        directory = expand_path(arguments.encoder)
        about = about_encoder(directory, arguments.encoder, encoder_files(directory), manifest.dimension)
        check_fit(manifest, manifest.dimension, arguments.vector_type, about)


def _queries(
    arguments: argparse.Namespace, store: VectorStore, settings: IndexSettings
) -> dict[str, NDArray[np.float32]] | None:
    """Titles and first sentences as queries, where the encoder is at hand."""
    if arguments.encoder is None:
        return None
    files, known = encoder_files(expand_path(arguments.encoder)), store.encoder.get("sha256")
    if known not in (None, files):
        raise UserError(
            f"{store.path} was encoded with {store.encoder.get('path')}, whose files are not those of {arguments.encoder}: "
            "its queries would find nothing there; name that encoder, or none"
        )
    each = max(8, -(-settings.certificate_queries // len(store.languages)))
    texts = sampled_queries(store, each)
    vectors = Encoder.load(expand_path(arguments.encoder)).encode(list(chain.from_iterable(texts.values())), "query")
    ends = np.cumsum([len(some) for some in texts.values()])[:-1]
    return dict(zip(texts, np.split(vectors, ends), strict=True))


def _ids(path: Path) -> list[str]:
    try:
        lines = expand_path(path).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read ids from {path}: {error}") from error
    return [line for line in map(str.strip, lines) if line]  # ids neither begin nor end with blanks


def _search(arguments: argparse.Namespace, console: Console) -> None:
    index = SearchIndex.open(arguments.out)
    made_with = index.manifest.encoder
    directory = expand_path(arguments.encoder or Path(made_with.get("path", "")))
    if encoder_files(directory) != made_with.get("sha256"):
        raise UserError(f"{directory} is not the encoder of this index ({made_with.get('path')}); name that with --encoder")
    languages = None if arguments.languages is None else tuple(language(one) for one in arguments.languages)
    vectors = Encoder.load(directory).encode([arguments.search], "query")
    hits = index.search(vectors, SearchOptions(languages=languages, **_given(arguments, "top_k")))
    for score, passage in zip(hits.scores[0].tolist(), index.passages(hits, 0), strict=True):
        console.print(Text.assemble((f"{score:.3f} {passage.lang:7}", "bold"), f" {passage.id}  ", f"{passage.full_text:.200}"))


if __name__ == "__main__":
    run_job(main)
