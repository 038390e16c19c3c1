"""`xlret corpus`: what a prepared corpus holds."""

from pathlib import Path

from cyclopts import App
from rich.console import Console
from rich.table import Table

from xlret.commands.against import Against, against_settings, tell_benchmark_texts
from xlret.commands.frame import new_app
from xlret.data.corpus import ParallelCorpus
from xlret.data.counts import LanguageCounts, counts, largest_cluster, without_pair
from xlret.errors import UserError
from xlret.files import expand_path

EPILOGUE = """\
examples:
  xlret corpus corpora/atlas/train
  xlret corpus corpora/ntrex/train corpora/qa/train --against xquad-r,tatoeba

With --against the languages are not counted. The help of prepare says how texts
of benchmarks are told; the exit status is 1 where there are any.
"""
app: App = new_app("corpus", "Check every file of a prepared corpus and show what it holds.", EPILOGUE)


@app.default
def corpus(*directories: Path, against: Against = (), hub: bool = False) -> int:
    """Reads every byte of corpora and prints their languages, where they come from and how they were made.

    Args:
        directories: what `xlret prepare` made, such as corpora/mine/train
        against: benchmarks whose texts are looked for instead: names, or NAME=DIRECTORY with the published files, which are
            looked for in $XLRET_SHARED/data/NAME by default
        hub: fetch those of them that are not on this machine from the hub
    """
    if not directories:
        raise UserError("name a corpus, such as corpora/atlas/train")
    if against:
        paths = [expand_path(directory) for directory in directories]
        console = Console(soft_wrap=True, highlight=False)
        return 1 if tell_benchmark_texts(paths, against_settings(against, hub=hub), console) else 0
    for directory in directories:
        _tell(directory)
    return 0


def _tell(directory: Path) -> None:
    """Prints what one corpus holds."""
    opened = ParallelCorpus.open(expand_path(directory))
    table = counts_table(str(directory), "")
    for language in counts(opened):
        table.add_row(language.lang, *count_cells(language))
    Console(soft_wrap=True, highlight=False).print(table)
    print(sizes(opened))
    print(f"hard negatives: {'yes' if opened.has_hard_negatives else 'no'}")
    for name in ("source", "licence", "revision"):
        print(f"{name}: {getattr(opened.manifest, name)}")
    print(f"made by: {opened.manifest.made_by}")
    print(f"fingerprint: {opened.fingerprint[:16]}; every checksum agrees")


def counts_table(title: str, *parts: str) -> Table:
    """A table of languages with columns for queries, passages and pairs of each part, such as `train `."""
    table = Table("language", title=title, title_justify="left", title_style="bold")
    for part in parts:
        for column in ("queries", "passages", "pairs"):
            table.add_column(part + column, justify="right")
    return table


def count_cells(language: LanguageCounts | None) -> list[str]:
    """The cells of one language and part in such a table."""
    return [f"{language.queries:,}", f"{language.passages:,}", f"{language.pairs:,}"] if language else ["-"] * 3


def sizes(corpus: ParallelCorpus) -> str:
    """Groups, clusters and languages of a corpus in a sentence."""
    half = without_pair(corpus)
    return (
        f"{corpus.n_groups:,} groups in {corpus.manifest.n_clusters:,} clusters (largest {largest_cluster(corpus):,}), "
        f"{len(corpus.languages)} languages" + (f"; {half:,} groups have no query or no passage at all" if half else "")
    )
