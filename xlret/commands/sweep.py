"""`xlret sweep`: many trainings of one recipe, their table and report, and a release of the best."""

from pathlib import Path

from cyclopts import App
from rich.console import Console

from xlret.commands.frame import Overrides, new_app
from xlret.commands.keys import recipe_keys
from xlret.config import read_recipe
from xlret.errors import UserError
from xlret.files import expand_path
from xlret.sweep.settings import SweepJob

EPILOGUE = """\
examples:
  xlret sweep real-regimes --dry-run
  xlret sweep real-regimes --set seeds=[0,1,2]
  xlret sweep sweep-atlas --in-process
  xlret sweep sweep-atlas --release sweep
  xlret sweep questions/6-field --results docs/results/6-field.jsonl
  xlret sweep questions/6-field --table docs/results/6-field.jsonl
  ray job submit --working-dir . -- python -m jobs.sweep real-regimes

A configuration is the base recipe with other settings: a named point, a value
of each swept setting, or both. Each is trained with every seed, and ranked by
the mean over them; seeds are never chosen among. Trainings run side by side on
the Ray that is there (or one after the other, --in-process), each in its own
directory OUT/trials/CONFIGURATION-SEED.

A sweep that was stopped, by Ctrl-C, `ray job stop` or a power cut, goes on when
it is started again: what is finished is not made again, what is half done goes
on from its last checkpoint, what failed is tried again.

It leaves OUT/table.md, .csv and .json, and OUT/report.html.

--results FILE adds each trial that has ended to a file, a line of JSON, once:
numbers, fingerprints, hardware, commit, and every question's score. What it
has already is not trained again, on whatever machine it was.
--table FILE lays the table out from such a file, tests included, without runs.

--release NAME makes an index of the recipe's `release.corpora` or
`release.passages` with the best configuration's encoder (that of the first
seed), a release of both, and that the current one unless the standing one is
better. Then: xlret serve --release runs/releases

What a recipe may say, each also by --set:

""" + recipe_keys(SweepJob)
app: App = new_app("sweep", "Train and evaluate many settings of a recipe over seeds; choose the best.", EPILOGUE)


@app.default
def sweep(
    recipe: str | None = None,
    /,
    *,
    overrides: Overrides = (),
    in_process: bool = False,
    dry_run: bool = False,
    release: str | None = None,
    results: Path | None = None,
    table: Path | None = None,
) -> int:
    """Trains and evaluates what is missing, then writes and prints the table.

    Args:
        recipe: a YAML file, or the name of a recipe that comes with xlret
        overrides: KEY=VALUE, one setting in place of the recipe's; may be given again
        in_process: one training after the other in this process, without Ray
        dry_run: resolve every setting of every trial, say what they would cost, and train nothing
        release: name of a release to make of the best configuration's encoder
        results: file that trials which have ended are added to, a line of JSON each; those it has are not trained again
        table: such a file; print the recipe's table from it, in Markdown, and train nothing
    """
    job = read_recipe(SweepJob, recipe, overrides)
    if release is not None and job.release is None:
        raise UserError("--release needs an index of something: name release.corpora or release.passages in the recipe")
    if table is not None:
        from xlret.sweep.kept_results import kept_table

        print(kept_table(job, expand_path(table)), end="")
        return 0
    console = Console(highlight=False, soft_wrap=True)
    kept = None if results is None else expand_path(results)
    if dry_run:
        from xlret.sweep.dry_run import print_dry_run

        print_dry_run(job, console, without_ray=in_process, results=kept)
        return 0
    from xlret.sweep.run import sweep as run_sweep

    rows = run_sweep(job, console, without_ray=in_process, results=kept, release=release)
    if release is not None:
        from xlret.sweep.release import release_best

        release_best(job, rows, release, console, without_ray=in_process)
    return 1 if any(row.status == "failed" for row in rows) else 0
