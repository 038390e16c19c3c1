"""A release of the quickstart's encoder and the embedded corpus, made by the same functions as a release of your own."""

from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from xlret.commands.release import show_release
from xlret.config import settings_from
from xlret.data.corpus import ParallelCorpus
from xlret.evaluation.run import evaluate_encoder
from xlret.evaluation.sets import from_corpus
from xlret.evaluation.settings import EvaluateSettings
from xlret.model.encoder import Encoder
from xlret.release.alias import read_alias
from xlret.release.make import make_release
from xlret.release.promote import list_releases, promote_or_keep
from xlret.release.record import CURRENT_ALIAS
from xlret.release.verify import verify_release
from xlret.search.build import build_index
from xlret.search.manifest import CURRENT_FILE
from xlret.search.passages import passages_of_corpus
from xlret.search.settings import IndexSettings
from xlret.search.vectors.encode import encode_passages
from xlret.search.vectors.fingerprint import encoder_files
from xlret.training.settings import TrainJob


def release_of(job: TrainJob, root: Path, console: Console) -> None:
    """Evaluates and indexes the encoder that a run left, makes a release of it in `root`, and the release current.

    What is there already is not made again; a current release that is better stays current.

    Raises:
        UserError: something of these cannot be made, and no release is current.
    """
    run, atlas = job.storage / job.name, job.corpora[0].parent
    model = run / "model"
    files = encoder_files(model)
    names = _releases_with(root, files)
    if names and read_alias(root, CURRENT_ALIAS) in names:
        console.print(f"{root / CURRENT_ALIAS} names a release with the encoder {model} already", markup=False)
        return
    if not names:
        digest = files["model.safetensors"][:8]
        measured, indexed = run / f"evaluation-{digest}", run / f"index-{digest}"
        name = f"{job.name}-{digest}" if (root / job.name).exists() else job.name  # releases do not change
        console.rule("how good the encoder is")
        evaluate_encoder(str(model), settings_from(EvaluateSettings, {"corpus": atlas / "test"}), measured, replace=True)
        console.rule("the index")
        if not (indexed / CURRENT_FILE).is_file():  # it comes last: an index that was interrupted has none
            _index(model, atlas, run / f"passages-{digest}", indexed)
        console.rule("the release")
        show_release(verify_release(make_release(root, name, model, indexed, evaluations=[measured])), console)
        names = [name]
    console.print(promote_or_keep(root, names[-1]), markup=False)


def _index(model: Path, atlas: Path, store: Path, out: Path) -> None:
    """Encodes and indexes what `atlas` holds, and measures the index with questions of its dev part."""
    corpora = [ParallelCorpus.open(atlas / part) for part in ("train", "test")]
    passages = chain.from_iterable(map(passages_of_corpus, corpora))
    encoded = encode_passages(passages, model, store)
    build_index(encoded, out, IndexSettings(shards=2), queries=_queries(model, ParallelCorpus.open(atlas / "dev")))


def _queries(model: Path, corpus: ParallelCorpus) -> dict[str, NDArray[np.float32]]:
    """Query language -> vectors of its questions."""
    questions = from_corpus(corpus)
    vectors, langs = Encoder.load(model).encode(questions.query_texts, "query"), np.array(questions.query_langs)
    return {lang: vectors[langs == lang] for lang in sorted(set(questions.query_langs))}


def _releases_with(root: Path, files: dict[str, str]) -> list[str]:
    """Names of the releases that hold the encoder of these files, the oldest first."""
    releases = list_releases(root) if root.is_dir() else []
    return [listed.name for listed in releases if listed.record is not None and listed.record.holds_encoder(files)]
