"""From nothing to a cross-lingual retriever in minutes: `make quickstart` or `python -m jobs.quickstart`."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from jobs.cli import recipe_parser, run_job
from xlret.config import as_yaml, read_recipe
from xlret.data.atlas import HELD_OUT, build_atlas
from xlret.data.corpus import ParallelCorpus
from xlret.evaluation.evaluate import Evaluation, evaluate
from xlret.evaluation.report import print_comparison
from xlret.evaluation.sets import RetrievalSet, from_corpus
from xlret.keys import generator
from xlret.model.encoder import Encoder
from xlret.shapes import FloatMatrix
from xlret.train.run import train
from xlret.train.settings import TrainJob

RECIPE = "quickstart"
EXAMPLE = """\
Makes the embedded corpus (facts of Unicode CLDR in many languages), trains a small encoder on it from random weights with
hybrid, code-switched batches on two workers, evaluates it on facts that no training row states, and asks it questions.

For your own data: python -m jobs.prepare, then python -m jobs.train with a recipe (see jobs/recipes/).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Corpus, training, evaluation beside the untrained encoder, a few questions."""
    arguments = recipe_parser("quickstart", "Trains, evaluates and shows a small cross-lingual retriever.", EXAMPLE).parse_args(
        argv
    )
    job = read_recipe(TrainJob, arguments.recipe or RECIPE, arguments.overrides)
    console = Console(highlight=False)
    began = time.monotonic()
    atlas = job.corpora[0].parent
    if not (atlas / "train" / "manifest.json").exists():
        console.rule("1. the corpus")
        print(build_atlas(atlas, seed=0, replace=True))
    console.rule("2. training")
    print(as_yaml(job))
    result = train(job, show=lambda line: print(line, flush=True))
    console.rule("3. evaluation on facts that no training row states")
    test = from_corpus(ParallelCorpus.open(atlas / "test"), groups=300, seed=0)
    untrained, _, _ = _scores(result.run_directory / "start", test)
    trained, queries, passages = _scores(result.model, test)
    print_comparison({"untrained": untrained, "trained": trained}, held_out=(HELD_OUT,), console=console)
    console.rule("4. questions, answers from all languages")
    _ask(test, queries, passages, console)
    console.print(f"\nencoder: {result.model}   time: {time.monotonic() - began:.0f} s")
    return 0


def _scores(model: Path, test: RetrievalSet) -> tuple[Evaluation, FloatMatrix, FloatMatrix]:
    encoder = Encoder.load(model)
    queries = encoder.encode(test.query_texts, "query")
    passages = encoder.encode(test.passage_texts, "passage")
    return evaluate(test, queries, passages), queries, passages


def _ask(test: RetrievalSet, queries: FloatMatrix, passages: FloatMatrix, console: Console, most: int = 5) -> None:
    """Shows the best passage of each of three languages for a few questions in as many languages."""
    languages = generator("quickstart", "questions").permutation(sorted(set(test.languages)))[:most]
    for lang in languages:
        rows = [i for i, one in enumerate(test.query_langs) if one == lang and len(test.relevant[i])]
        row = rows[int(generator("quickstart", "question", str(lang)).integers(len(rows)))]
        console.print(f"\n[bold]\\[{lang}] {test.query_texts[row]}[/bold]")
        shown: set[str] = set()
        for found in np.argsort(-(passages @ queries[row]), kind="stable"):
            answer_lang = test.passage_langs[found]
            if answer_lang in shown:
                continue
            shown.add(answer_lang)
            mark = "[green]right[/green]" if found in test.relevant[row] else "[red]wrong[/red]"
            console.print(f"  {mark} \\[{answer_lang}] {test.passage_texts[found]}")
            if len(shown) == 3:
                break


if __name__ == "__main__":
    run_job(main)
