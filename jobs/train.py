"""Trains a retriever or a reranker: `python -m jobs.train RECIPE`."""

from collections.abc import Sequence

from jobs.cli import recipe_parser, run_job
from xlret.config import as_yaml, read_recipe
from xlret.train.run import train
from xlret.train.settings import TrainJob

EXAMPLE = """\
examples:
  python -m jobs.train jobs/recipes/atlas-hybrid.yaml
  python -m jobs.train jobs/recipes/atlas-hybrid.yaml --set plan.alpha=0.3 --set name=alpha-03
  python -m jobs.train jobs/recipes/reranker.yaml      # model: reranker
  ray job submit --working-dir . -- python -m jobs.train jobs/recipes/atlas-hybrid.yaml

A run that was stopped goes on when it is started again with the same name and settings. What it leaves:
runs/NAME/model (the best encoder or reranker, in the layout of sentence-transformers), metrics.jsonl,
report.html, tensorboard/, config.yaml, run.json.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Reads the recipe, prints it in full, trains."""
    parser = recipe_parser(
        "train", "Fine-tunes a multilingual encoder on hybrid, code-switched batches with Ray Data and Ray Train.", EXAMPLE
    )
    parser.add_argument("--fresh", action="store_true", help="throw away an earlier run of the same name")
    arguments = parser.parse_args(argv)
    job = read_recipe(TrainJob, arguments.recipe, arguments.overrides)
    print(as_yaml(job))
    result = train(job, fresh=arguments.fresh, show=lambda line: print(line, flush=True))
    best = f", best {job.dev.metric} mAP {result.best_metric:.4f} at step {result.best_step}" if result.best_metric else ""
    print(f"trained {result.steps} steps{best}; {job.model} in {result.model}")
    return 0


if __name__ == "__main__":
    run_job(main)
