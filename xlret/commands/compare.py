"""`xlret compare`: which of several systems is better, with intervals and tests."""

from pathlib import Path

from cyclopts import App
from rich.console import Console

from xlret.commands.frame import new_app
from xlret.errors import UserError
from xlret.evaluation import comparison_table
from xlret.evaluation.comparison import compare_systems, measures_of, read_system
from xlret.evaluation.comparison_page import comparison_page
from xlret.evaluation.report import print_rows
from xlret.files import directory_beside, expand_path, write_text

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
    named = [_named(text) for text in evaluations]
    if len(named) < 2:
        raise UserError("comparing needs two evaluations or more; see xlret compare --help")
    names = _short_names([path for _, path in named])
    systems = [read_system(name or short, path) for (name, path), short in zip(named, names, strict=True)]
    result = compare_systems(systems, measure or measures_of(named[0][1]), seed=seed)
    console = Console(highlight=False, soft_wrap=True)
    print_rows(*comparison_table.system_rows(result), None, console)
    for sentence in comparison_table.explanation(result):
        console.print(sentence, markup=False)
    print_rows(*comparison_table.pair_rows(result), "every pair", console)
    if out is not None:
        with directory_beside(expand_path(out), replace=replace) as fresh:
            write_text(fresh / "comparison.md", comparison_table.markdown(result))
            write_text(fresh / "comparison.csv", comparison_table.as_csv(result))
            write_text(fresh / "comparison.tex", comparison_table.latex(result))
            directories = {system.name: path for system, (_, path) in zip(systems, named, strict=True)}
            page = comparison_page(" against ".join(result.systems), result, systems, directories)
            write_text(fresh / "comparison.html", page)
        console.print(f"written to {out}", markup=False)
    return 0


def _named(text: str) -> tuple[str | None, Path]:
    name, separator, path = text.partition("=")
    return (name, expand_path(Path(path))) if separator and "/" not in name else (None, expand_path(Path(text)))


def _short_names(paths: list[Path]) -> list[str]:
    """The ends of the paths, as much of them as tells them apart, without what all have at their end."""
    parts = [(path.parent if path.name == "evaluation.json" else path).parts for path in paths]
    while min(map(len, parts)) > 1 and len({part[-1] for part in parts}) == 1:
        parts = [part[:-1] for part in parts]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]
