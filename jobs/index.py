"""Builds, changes and tries an index: `python -m jobs.index --encoder DIR --passages FILES --out DIR`."""

import argparse
import os
import shutil
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

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
from xlret.search.build import IndexSettings, build_index
from xlret.search.edit import append, compact, delete
from xlret.search.encode import EncodeSettings, encode_passages
from xlret.search.fingerprint import encoder_files
from xlret.search.index import SearchIndex
from xlret.search.manifest import current_version
from xlret.search.passages import passages_of_corpus, read_passages
from xlret.search.query import SearchOptions
from xlret.search.sampled import sampled_queries
from xlret.search.store import VectorStore
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
    add("--languages", nargs="+", help="only these languages (of --corpus, or in --search)")
    add("--lang", help="language of passages that do not say theirs")
    add("--skip-bad-rows", action="store_true", help="leave bad rows out instead of stopping")
    add("--gpu", action="store_true", help="encode on GPUs")
    add("--precision", choices=("float32", "bfloat16"), default="float32", help="of encoding")
    add("--vector-type", choices=("float16", "float32"), default="float16", help="how vectors are stored (default float16)")
    add("--shards", type=int, help="how many shards (default 1; --compact: as before)")
    add("--factory", default="auto", help="kind of index, see below (default auto)")
    add("--recall", type=float, default=0.97, help="recall@10 that the default nprobe or ef is to reach (default 0.97)")
    add("--exact-rows", type=int, default=50_000, help="searches restricted to so few passages are exact (default 50000)")
    add("--threads", type=int, default=os.cpu_count() or 1, help="for training and filling the index")
    add("--seed", type=int, default=0)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--append", action="store_true", help="add passages to the index")
    what.add_argument("--delete", type=Path, metavar="IDS.txt", help="delete the passages with these ids, one a line")
    what.add_argument("--compact", action="store_true", help="lay the index out anew, without what was deleted")
    what.add_argument("--search", metavar="TEXT", help="search the index and print what comes back")
    add("--replace", action="store_true", help="with --append: passages whose ids are there replace them")
    add("--top-k", type=int, default=10, help="with --search (default 10)")
    arguments = parser.parse_args(argv)
    arguments.out = expand_path(arguments.out)
    console = Console(highlight=False, soft_wrap=True)

    def say(line: str) -> None:
        console.print(line, markup=False)

    if arguments.search is not None:
        _search(arguments, console)
        return 0
    if arguments.delete is not None:
        version = delete(arguments.out, _ids(arguments.delete), say=say)
    elif arguments.compact:
        version = compact(arguments.out, shards=arguments.shards, threads=arguments.threads, say=say)
    elif arguments.append:
        current_version(arguments.out)  # before anything is encoded for it
        place = arguments.store or arguments.out.with_name(f"{arguments.out.name}.appended.vectors")
        version = append(arguments.out, _store(arguments, place), replace=arguments.replace, threads=arguments.threads, say=say)
        if arguments.store is None and arguments.vectors is None:
            shutil.rmtree(place)  # the index has them now
    else:
        settings = _settings(arguments)
        store = _store(arguments, arguments.store or arguments.out.with_name(f"{arguments.out.name}.vectors"))
        version = build_index(store, arguments.out, settings, queries=_queries(arguments, store, settings), say=say)
    say(f"{version} is the current version")
    return 0


def _settings(arguments: argparse.Namespace) -> IndexSettings:
    names = ("factory", "seed", "recall", "exact_rows", "threads")
    return settings_from(
        IndexSettings,
        {"shards": 1 if arguments.shards is None else arguments.shards, **{name: getattr(arguments, name) for name in names}},
    )


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
    settings = EncodeSettings(gpu=arguments.gpu, precision=arguments.precision, store=arguments.vector_type)
    return encode_passages(passages, arguments.encoder, place, settings)


def _queries(
    arguments: argparse.Namespace, store: VectorStore, settings: IndexSettings
) -> dict[str, NDArray[np.float32]] | None:
    """Titles and first sentences as queries, where the encoder is at hand."""
    if arguments.encoder is None:
        return None
    each = max(8, -(-settings.certificate_queries // len(store.languages)))
    texts = sampled_queries(store, each)
    vectors = Encoder.load(expand_path(arguments.encoder)).encode(list(chain.from_iterable(texts.values())), "query")
    ends = np.cumsum([len(some) for some in texts.values()])[:-1]
    return dict(zip(texts, np.split(vectors, ends), strict=True))


def _ids(path: Path) -> list[str]:
    try:
        lines = expand_path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read ids from {path}: {error}") from error
    return [line for line in (one.removesuffix("\r") for one in lines) if line]


def _search(arguments: argparse.Namespace, console: Console) -> None:
    index = SearchIndex.open(arguments.out)
    made_with = index.manifest.encoder
    directory = expand_path(arguments.encoder or Path(made_with.get("path", "")))
    if encoder_files(directory) != made_with.get("sha256"):
        raise UserError(f"{directory} is not the encoder of this index ({made_with.get('path')}); name that with --encoder")
    languages = None if arguments.languages is None else tuple(language(one) for one in arguments.languages)
    vectors = Encoder.load(directory).encode([arguments.search], "query")
    hits = index.search(vectors, SearchOptions(top_k=arguments.top_k, languages=languages))
    for score, passage in zip(hits.scores[0].tolist(), index.passages(hits, 0), strict=True):
        console.print(Text.assemble((f"{score:.3f} {passage.lang:7}", "bold"), f" {passage.id}  ", f"{passage.full_text:.200}"))


if __name__ == "__main__":
    run_job(main)
