"""`xlret train`: from a recipe to a trained encoder or reranker."""

from cyclopts import App

from xlret.commands.frame import Overrides, new_app, tell
from xlret.commands.keys import recipe_keys
from xlret.config import as_yaml, read_recipe
from xlret.training.settings import TrainJob

EPILOGUE = """\
examples:
  xlret train quickstart
  xlret train quickstart --set plan.alpha=0.3 --set name=alpha-03
  xlret train reranker
  xlret train my.yaml
  ray job submit --working-dir . -- python -m jobs.train quickstart

A run that was stopped goes on when it is started again with the same name and
settings.
What a recipe may say, each also by --set:

""" + recipe_keys(TrainJob)


app: App = new_app("train", "Train a retriever or a reranker on hybrid, code-switched batches.", EPILOGUE)


@app.default
def train(recipe: str | None = None, /, *, overrides: Overrides = (), fresh: bool = False) -> int:
    """Reads the recipe, prints it in full, trains.

    Args:
        recipe: a YAML file, or the name of a recipe that comes with xlret (`xlret recipes` lists them)
        overrides: KEY=VALUE, one setting in place of the recipe's; may be given again
        fresh: throw away an earlier run of the same name
    """
    job = read_recipe(TrainJob, recipe, overrides)
    print(as_yaml(job))
    from xlret.training.checkpoint import newest_checkpoint
    from xlret.training.run import train

    try:
        result = train(job, fresh=fresh, show=tell)
    except (KeyboardInterrupt, SystemExit):  # Ctrl-C; SIGTERM, as `ray job stop` sends it
        newest = newest_checkpoint(job.storage / job.name)
        tell(f"stopped; the same command goes on from {newest.name}" if newest else "stopped before the first checkpoint")
        raise
    best = f", best {job.dev.metric} mAP {result.best_metric:.4f} at step {result.best_step}" if result.best_metric else ""
    print(f"trained {result.steps} steps{best}; {job.model} in {result.model}")
    return 0
