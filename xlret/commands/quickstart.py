"""`xlret quickstart`: from nothing to a cross-lingual retriever in minutes, and to a release that can be served."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cyclopts import App
from rich.console import Console

from xlret.commands.frame import Overrides, new_app, tell
from xlret.config import as_yaml, read_recipe
from xlret.data.atlas import HELD_OUT, build_atlas
from xlret.data.corpus import ParallelCorpus
from xlret.files import expand_path
from xlret.keys import generator
from xlret.training.settings import TrainJob

if TYPE_CHECKING:
    from xlret.evaluation.evaluate import Evaluation
    from xlret.evaluation.sets import RetrievalSet
    from xlret.shapes import FloatMatrix

RECIPE = "quickstart"
EPILOGUE = """\
Makes the embedded corpus (facts of Unicode CLDR in many languages), trains a
small encoder on it from random weights with hybrid, code-switched batches on
two workers, evaluates it on facts that no training row states, and asks it
questions.

With --release it then does what you would do for data of your own with
`xlret evaluate`, `xlret index` and `xlret release`:

  1. trains the encoder, unless runs/quickstart/model is there
  2. measures it on facts that it was not trained on
  3. encodes the passages of the embedded corpus, in 14 languages, and indexes
     them
  4. puts encoder and index into runs/releases/quickstart, with their quality
  5. makes that the current release, unless the one that is current is better

If the current release holds the encoder already, there is nothing to do. Then:
xlret serve --release runs/releases

For your own data: `xlret prepare`, then `xlret train` with a recipe
(`xlret recipes` lists some).
"""
app: App = new_app("quickstart", "Train, evaluate and show a small cross-lingual retriever, from nothing.", EPILOGUE)


@app.default
def quickstart(
    recipe: str = RECIPE, /, *, overrides: Overrides = (), release: bool = False, root: Path = Path("runs/releases")
) -> int:
    """Corpus, training, evaluation beside the untrained encoder, a few questions; or all that and a release.

    Args:
        recipe: of a training on the embedded corpus
        overrides: KEY=VALUE, one setting in place of the recipe's; may be given again
        release: make a release of the encoder, and train only where there is none yet
        root: directory of releases
    """
    job = read_recipe(TrainJob, recipe, overrides)
    if not (release and (job.storage / job.name / "model").is_dir()):
        train_and_ask(job, Console(highlight=False))
    if release:
        from xlret.commands.quickstart_release import release_of

        release_of(job, expand_path(root), Console(soft_wrap=True, highlight=False))
    return 0


def train_and_ask(job: TrainJob, console: Console) -> None:
    """Trains as `job` says, on the embedded corpus, and shows what came of it."""
    from xlret.evaluation.report import print_comparison
    from xlret.evaluation.sets import from_corpus
    from xlret.training.run import train

    began = time.monotonic()
    atlas = job.corpora[0].parent
    if not (atlas / "train" / "manifest.json").exists():
        console.rule("1. the corpus")
        print(build_atlas(atlas, seed=0, replace=True))
    console.rule("2. training")
    print(as_yaml(job))
    result = train(job, show=tell)
    console.rule("3. evaluation on facts that no training row states")
    test = from_corpus(ParallelCorpus.open(atlas / "test"), groups=300, seed=0)
    untrained, _, _ = _scores(result.run_directory / "start", test)
    trained, queries, passages = _scores(result.model, test)
    print_comparison({"untrained": untrained, "trained": trained}, held_out=(HELD_OUT,), console=console)
    console.rule("4. questions, answers from all languages")
    _ask(test, queries, passages, console)
    console.print(f"\nencoder: {result.model}   time: {time.monotonic() - began:.0f} s")


def _scores(model: Path, test: "RetrievalSet") -> "tuple[Evaluation, FloatMatrix, FloatMatrix]":
    from xlret.evaluation.evaluate import evaluate
    from xlret.model.encoder import Encoder

    encoder = Encoder.load(model)
    queries = encoder.encode(test.query_texts, "query")
    passages = encoder.encode(test.passage_texts, "passage")
    return evaluate(test, queries, passages), queries, passages


def _ask(test: "RetrievalSet", queries: "FloatMatrix", passages: "FloatMatrix", console: Console, most: int = 5) -> None:
    """Shows the best passage of each of three languages for a few questions in as many languages."""
    for lang in generator("quickstart", "questions").permutation(sorted(set(test.languages)))[:most]:
        rows = [row for row, code in enumerate(test.query_langs) if code == lang and len(test.relevant[row])]
        row = rows[int(generator("quickstart", "question", str(lang)).integers(len(rows)))]
        console.print(f"\n[bold]\\[{lang}] {test.query_texts[row]}[/bold]")
        shown: set[str] = set()
        for passage in np.argsort(-(passages @ queries[row]), kind="stable"):
            answer_lang = test.passage_langs[passage]
            if answer_lang in shown:
                continue
            shown.add(answer_lang)
            mark = "[green]right[/green]" if passage in test.relevant[row] else "[red]wrong[/red]"
            console.print(f"  {mark} \\[{answer_lang}] {test.passage_texts[passage]}")
            if len(shown) == 3:
                break
