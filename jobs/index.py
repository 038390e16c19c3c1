"""Builds, changes and tries an index: `python -m jobs.index --encoder DIR --passages FILES --out DIR`."""

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from jobs.cli import run_job
from xlret.config import settings_from
from xlret.data.rows import BadRowPolicy
from xlret.errors import UserError
from xlret.files import expand_path
from xlret.search.build import build_index
from xlret.search.edit import append, compact, delete
from xlret.search.from_files import Say, append_from, build_from, encoding_for, passages_from, read_ids
from xlret.search.passages import Passage
from xlret.search.queries import encoded_queries
from xlret.search.settings import EncodeSettings, IndexSettings
from xlret.search.text_index import TextIndex
from xlret.search.vectors.store import VectorStore

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
        version = delete(arguments.out, read_ids(arguments.delete), say=say)
    elif arguments.compact:
        version = compact(arguments.out, shards=arguments.shards, threads=threads, say=say)
    elif arguments.append:
        version = _append(arguments, threads, say)
    else:
        version = _build(arguments, say)
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


def _passages(arguments: argparse.Namespace) -> Iterator[Passage]:
    if arguments.encoder is None or (arguments.passages is None and arguments.corpus is None):
        raise UserError("name an --encoder with --passages or --corpus, or --vectors that are encoded already")
    on_bad_row: BadRowPolicy = "skip" if arguments.skip_bad_rows else "error"
    source = arguments.passages if arguments.corpus is None else arguments.corpus
    return passages_from(source, arguments.languages, lang=arguments.lang, on_bad_row=on_bad_row)


def _encoding(arguments: argparse.Namespace) -> dict[str, Any]:
    values = _given(arguments, "gpu", "precision")
    return values if arguments.vector_type is None else {**values, "store": arguments.vector_type}


def _build(arguments: argparse.Namespace, say: Say) -> Path:
    out, settings = arguments.out, _settings(arguments)
    if arguments.vectors is None:
        encoding = settings_from(EncodeSettings, _encoding(arguments))
        return build_from(_passages(arguments), arguments.encoder, out, settings, encoding, store=arguments.store, say=say)
    store, queries = VectorStore.open(expand_path(arguments.vectors)), None
    if arguments.encoder is not None:
        queries = encoded_queries(store, expand_path(arguments.encoder), settings.certificate_queries)
    return build_index(store, out, settings, queries=queries, say=say)


def _append(arguments: argparse.Namespace, threads: int, say: Say) -> Path:
    out, replace = arguments.out, bool(arguments.replace)
    if arguments.vectors is not None:
        return append(out, VectorStore.open(expand_path(arguments.vectors)), replace=replace, threads=threads, say=say)
    encoding = settings_from(EncodeSettings, {"store": encoding_for(out).store, **_encoding(arguments)})
    passages, store = _passages(arguments), arguments.store
    return append_from(passages, arguments.encoder, out, encoding, store=store, replace=replace, threads=threads, say=say)


def _search(arguments: argparse.Namespace, console: Console) -> None:
    index, top_k = TextIndex.open(arguments.out, arguments.encoder), 10 if arguments.top_k is None else arguments.top_k
    for hit in index.search(arguments.search, top_k, languages=arguments.languages):
        text = f"{hit.title} {hit.text}" if hit.title else hit.text
        console.print(Text.assemble((f"{hit.score:.3f} {hit.lang:7}", "bold"), f" {hit.id}  ", f"{text:.200}"))


if __name__ == "__main__":
    run_job(main)
