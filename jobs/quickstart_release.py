"""The quickstart's encoder as a release that can be served: `make serve` or `python -m jobs.quickstart_release`."""

import argparse
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from jobs import evaluate, quickstart, release
from jobs.cli import run_job
from xlret.config import read_recipe
from xlret.data.corpus import ParallelCorpus
from xlret.errors import CorruptError, UserError
from xlret.evaluation.sets import from_corpus
from xlret.files import expand_path
from xlret.model.encoder import Encoder
from xlret.release.alias import read_alias
from xlret.release.promote import list_releases
from xlret.release.record import CURRENT_ALIAS, ENCODER, RECORD, ReleaseRecord
from xlret.search.build import build_index
from xlret.search.manifest import CURRENT_FILE
from xlret.search.passages import passages_of_corpus
from xlret.search.settings import IndexSettings
from xlret.search.vectors.encode import encode_passages
from xlret.search.vectors.fingerprint import encoder_files
from xlret.train.settings import TrainJob

EXAMPLE = """\
Does what you would do for data of your own with jobs.train, jobs.evaluate, jobs.index and jobs.release:

  1. trains the encoder (python -m jobs.quickstart), unless runs/quickstart/model is there
  2. measures it on facts that it was not trained on
  3. encodes the passages of the embedded corpus, in 14 languages, and indexes them
  4. puts encoder and index into runs/releases/quickstart, with their quality
  5. makes that the current release, unless the one that is current is better

If the current release holds the encoder already, there is nothing to do. Then:  python -m jobs.serve --release runs/releases
"""
NAME = "quickstart"


def main(argv: Sequence[str] | None = None) -> int:
    """Trains where needed, then evaluates, indexes, makes the release and promotes it."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.quickstart_release",
        description="Makes a release of the quickstart's encoder and the embedded corpus, and makes it current.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--root", default="runs/releases", help="directory of releases (default runs/releases)")
    root = expand_path(Path(parser.parse_args(argv).root))
    console = Console(soft_wrap=True, highlight=False)
    job = read_recipe(TrainJob, quickstart.RECIPE)
    run, atlas = job.storage / job.name, job.corpora[0].parent
    model = run / "model"
    if not model.is_dir():
        quickstart.main([])
    files = encoder_files(model)
    held = _held(root, files)
    if held and read_alias(root, CURRENT_ALIAS) in held:
        console.print(f"{root / CURRENT_ALIAS} names a release with the encoder {model} already", markup=False)
        return 0
    if not held:
        digest = files["model.safetensors"][:8]
        measured, indexed = run / f"evaluation-{digest}", run / f"index-{digest}"
        name = f"{NAME}-{digest}" if (root / NAME).exists() else NAME  # releases do not change
        console.rule("how good the encoder is")
        evaluate.main(["--encoder", str(model), "--corpus", str(atlas / "test"), "--out", str(measured), "--replace"])
        console.rule("the index")
        if not (indexed / CURRENT_FILE).is_file():  # it comes last: an index that was interrupted has none
            _index(model, atlas, run / f"passages-{digest}", indexed)
        console.rule("the release")
        parts = ["--encoder", str(model), "--index", str(indexed), "--evaluation", str(measured)]
        release.main(["make", name, "--root", str(root), *parts])
        held = [name]
    try:
        release.main(["promote", held[-1], "--root", str(root)])
    except UserError as error:
        standing = read_alias(root, CURRENT_ALIAS)
        if isinstance(error, CorruptError) or standing is None or not (root / standing / RECORD).is_file():
            raise  # nothing that could be served in its place
        console.print(f"{root / CURRENT_ALIAS} still names {standing}: {error}", markup=False)
    return 0


def _index(model: Path, atlas: Path, store: Path, out: Path) -> None:
    """Encodes and indexes what there is in `atlas`, and measures the index with questions of its dev part."""
    corpora = [ParallelCorpus.open(atlas / part) for part in ("train", "test")]
    passages = chain.from_iterable(map(passages_of_corpus, corpora))
    encoded = encode_passages(passages, model, store)
    build_index(encoded, out, IndexSettings(shards=2), queries=_queries(model, ParallelCorpus.open(atlas / "dev")))


def _queries(model: Path, corpus: ParallelCorpus) -> dict[str, NDArray[np.float32]]:
    """Query language -> vectors of its questions."""
    asked = from_corpus(corpus)
    vectors, langs = Encoder.load(model).encode(asked.query_texts, "query"), np.array(asked.query_langs)
    return {lang: vectors[langs == lang] for lang in sorted(set(asked.query_langs))}


def _held(root: Path, files: dict[str, str]) -> list[str]:
    """Names of the releases that hold the encoder of these files, the oldest first."""
    releases = list_releases(root) if root.is_dir() else []
    return [one.name for one in releases if one.record is not None and _same(one.record, files)]


def _same(record: ReleaseRecord, files: dict[str, str]) -> bool:
    held = {name: entry.sha256 for name, entry in record.files.items()}
    return all(held.get(f"{ENCODER}/{name}") == digest for name, digest in files.items())


if __name__ == "__main__":
    run_job(main)
