"""Variants of one training recipe over several seeds, each evaluated the same way: `python -m jobs.variants RECIPE`."""

from collections.abc import Sequence

from rich.console import Console

from jobs.cli import recipe_parser, run_job
from xlret.config import read_recipe
from xlret.sweep.settings import VariantsJob
from xlret.sweep.variants import run_variants

EXAMPLE = """\
examples:
  python -m jobs.variants real-regimes
  python -m jobs.variants real-regimes --set seeds=[0,1,2]

Runs and evaluations that are there already are not made again, so a stopped table goes on where it stopped. The table is
printed and kept as OUT/table.md; each evaluation, with the matrix of all language pairs, beside its run.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Trains and evaluates what is missing, then prints the table."""
    arguments = recipe_parser("variants", "Trains and evaluates variants of a recipe over seeds.", EXAMPLE).parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    console.print(run_variants(read_recipe(VariantsJob, arguments.recipe, arguments.overrides), console))
    return 0


if __name__ == "__main__":
    run_job(main)
