"""`xlret variants`: variants of one training recipe over several seeds, each evaluated the same way."""

from cyclopts import App
from rich.console import Console

from xlret.commands.frame import Overrides, new_app
from xlret.commands.keys import recipe_keys
from xlret.config import read_recipe
from xlret.sweep.settings import VariantsJob

EPILOGUE = """\
examples:
  xlret variants real-regimes
  xlret variants real-regimes --set seeds=[0,1,2]

Runs and evaluations that are there already are not made again, so a stopped
table goes on where it stopped. The table is printed and kept as OUT/table.md;
each evaluation, with the matrix of all language pairs, beside its run.

What a recipe may say, each also by --set:

""" + recipe_keys(VariantsJob)
app: App = new_app(
    "variants",
    "Train and evaluate variants of a recipe over seeds, and print their table.",
    EPILOGUE,
)


@app.default
def variants(recipe: str | None = None, /, *, overrides: Overrides = ()) -> int:
    """Trains and evaluates what is missing, then prints the table.

    Args:
        recipe: a YAML file, or the name of a recipe that comes with xlret
        overrides: KEY=VALUE, one setting in place of the recipe's; may be given again
    """
    job = read_recipe(VariantsJob, recipe, overrides)
    from xlret.sweep.variants import run_variants

    console = Console(highlight=False, soft_wrap=True)
    console.print(run_variants(job, console))
    return 0
