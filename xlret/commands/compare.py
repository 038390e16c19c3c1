"""`xlret compare`: which of several systems is better, with intervals and tests."""

from pathlib import Path

from cyclopts import App
from rich.console import Console

from xlret.commands.frame import new_app
from xlret.errors import UserError
from xlret.evaluation.comparison import compare_systems, measures_of, read_system
from xlret.evaluation.comparison_files import print_comparison, write_comparison
from xlret.evaluation.system_names import named_systems
from xlret.files import directory_beside, expand_path
from xlret.storage.url import path_of

EPILOGUE = """\
examples:
  xlret compare runs/plain/xquad-r runs/hybrid/xquad-r runs/switched/xquad-r
  xlret compare base=runs/plain/xquad-r ours=runs/hybrid/xquad-r \\
      --measure mul nDCG@20 recall_cross@10 --out tables/xquad-r

Each argument is the --out of an evaluation, or a directory that holds the
evaluations of several seeds of one system; NAME= before it is its name. All must
be of the same queries. Measures are the columns of queries.csv.

The table shows each mean with its 95 % interval, and the letters of the systems
that it beats: at the 5 % level, corrected by Holm over all pairs and measures
together, by a paired permutation test over questions; where a system has several
seeds, by a bootstrap over questions and seeds, so that a difference that another
seed would undo does not stand. A question asked in several languages counts once.
The second table has every pair: difference, interval, and the p-values of the
paired t test, of permutations and of the bootstrap.

--out writes comparison.md, comparison.csv, comparison.tex and comparison.html, a page
that stands alone: both tables, each language's mean with its interval, heat maps of
query and passage languages, rankings side by side, and all configurations.
"""
app: App = new_app("compare", "Tell which of several evaluated systems is better, with intervals and tests.", EPILOGUE)


@app.default
def compare(
    *evaluations: str, measure: tuple[str, ...] = (), out: Path | None = None, replace: bool = False, seed: int = 0
) -> int:
    """Reads the values of every query, tests all pairs of systems, prints the tables.

    Args:
        evaluations: directories, each with NAME= before it or not
        measure: columns of queries.csv; by default mul and what the first evaluation was asked for by name
        out: directory for the tables
        replace: replace one that is there already
        seed: of permutations and bootstrap
    """
    named = {name: expand_path(Path(path)) for name, path in named_systems(evaluations).items()}
    if len(named) < 2:
        raise UserError("comparing needs two evaluations or more; see xlret compare --help")
    systems = [read_system(name, path) for name, path in named.items()]
    result = compare_systems(systems, measure or measures_of(next(iter(named.values()))), seed=seed)
    console = Console(highlight=False, soft_wrap=True)
    print_comparison(result, console)
    if out is not None:
        with directory_beside(expand_path(out), replace=replace) as fresh:
            write_comparison(fresh, result, systems, named)
        console.print(f"written to {path_of(out)}", markup=False)
    return 0
