"""What the benchmarks share: the embedded corpus, a start encoder, and how results are printed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlret.batches.assemble import Inputs
from xlret.config import read_recipe
from xlret.data.atlas import build_atlas
from xlret.data.corpus import ParallelCorpus
from xlret.model.encoder import start_encoder
from xlret.training.settings import TrainJob
from xlret.training.setup import tokeniser_texts

RECIPE = "quickstart"


@dataclass(frozen=True)
class Bench:
    """Everything lives in `directory`; `job` is the quickstart's recipe on a corpus and encoder made there."""

    directory: Path
    job: TrainJob
    passages: int
    """How many the memory of bulk encoding is measured on."""
    vectors: int = 1_000_000
    """How many the curves of index kinds are measured on, and indexes are built of."""
    seconds: float = 1800
    """After so long no further kind of index is begun."""
    factories: tuple[str, ...] = ()
    """The kinds; by default some of each."""
    encoder: Path | None = None
    """What `engines` and `packing` measure; by default one of random weights."""
    corpora: tuple[Path, ...] = ()
    """What `packing` takes texts of; by default the embedded corpus."""

    @property
    def inputs(self) -> Inputs:
        """The quickstart's batches."""
        return Inputs(self.job.corpora, self.job.plan, self.job.switch, self.start)

    @property
    def start(self) -> Path:
        """The quickstart's encoder before training."""
        return self.directory / "start"


def set_up(directory: Path, passages: int, **curves: Any) -> Bench:
    """Builds the corpus and the start encoder in `directory` where they are not there yet; `curves` as `Bench` has it."""
    atlas = directory / "atlas"
    if not (atlas / "train" / "manifest.json").exists():
        build_atlas(atlas, seed=0, replace=True)
    overrides = [
        f"corpora=[{atlas / 'train'}]",
        f"switch.lexicons=[{atlas / 'lexicon'}]",
        f"dev.corpora=[{atlas / 'dev'}]",
        f"storage={directory / 'runs'}",
    ]
    job = read_recipe(TrainJob, RECIPE, overrides)
    bench = Bench(directory, job, passages, **curves)
    if not bench.start.exists():
        corpus = ParallelCorpus.open(job.corpora[0])
        start_encoder(job.encoder, lambda: tokeniser_texts([corpus], corpus.languages), 0).save(bench.start)
    return bench
