"""What a comparison prints and the files that it leaves: Markdown, CSV, LaTeX and a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from xlret.evaluation import comparison_table
from xlret.evaluation.comparison import Comparison, System
from xlret.evaluation.comparison_page import comparison_page
from xlret.evaluation.report import print_rows
from xlret.files import write_text


def print_comparison(comparison: Comparison, console: Console) -> None:
    """The means with their marks, what the marks say, and every pair."""
    print_rows(*comparison_table.system_rows(comparison), None, console)
    for sentence in comparison_table.explanation(comparison):
        console.print(sentence, markup=False)
    pairs = comparison_table.pair_rows(comparison, lettered=True)
    print_rows(*pairs, "every pair by their letters; p by each test, and what decides, corrected (Holm)", console)


def write_comparison(
    directory: Path, comparison: Comparison, systems: Sequence[System], directories: Mapping[str, Path]
) -> None:
    """Writes comparison.md, comparison.csv, comparison.tex and comparison.html into a directory that is there.

    Args:
        directory: what gets the files.
        comparison: of these systems.
        systems: their values.
        directories: system -> what `read_system` read.
    """
    write_text(directory / "comparison.md", comparison_table.markdown(comparison))
    write_text(directory / "comparison.csv", comparison_table.as_csv(comparison))
    write_text(directory / "comparison.tex", comparison_table.latex(comparison))
    page = comparison_page(" against ".join(comparison.systems), comparison, systems, directories)
    write_text(directory / "comparison.html", page)
