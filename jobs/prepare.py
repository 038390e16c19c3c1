"""Makes corpora of data sets and of your own files: `python -m jobs.prepare RECIPE`."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jobs.cli import recipe_parser, run_job
from xlret.config import as_yaml, read_recipe
from xlret.data.corpus import ParallelCorpus
from xlret.data.counts import LanguageCounts, counts, largest_cluster, without_pair
from xlret.data.prepare import Prepared, PrepareSettings, prepare
from xlret.errors import UserError

EXAMPLE = """\
examples:
  python -m jobs.prepare prepare-real
  python -m jobs.prepare my.yaml --set corpora.mine.dev=500 --on-bad-row skip
  python -m jobs.prepare --show corpora/mine/train

A recipe for files of your own, in JSON lines, CSV, TSV or Parquet, with the columns group_id, lang, query, title, text
(rows of one group_id say the same in several languages; title may be missing, and queries may come in another file than texts):

  output: corpora                       # makes corpora/mine/train and corpora/mine/dev
  corpora:
    mine:
      read:
        format: rows                    # or beir, msmarco, trec, ntrex, swim_ir, mmarco, miracl, afriqa, squad
        files:
          - my/rows.jsonl.gz
          - {path: my/german.csv, lang: de, columns: {group_id: id, text: body}}
        licence: CC0
      dev: 200                          # groups held out, never part of a cluster of equal queries or passages

Bad rows stop the job with `file:line: reason`, or are left out and counted with --on-bad-row skip.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Prepares what the recipe names, or shows what a directory holds."""
    parser = recipe_parser(
        "prepare", "Makes prepared corpora, with a held-out part, of public data sets and your own files.", EXAMPLE
    )
    parser.add_argument("--on-bad-row", choices=("error", "skip"), help="stop at the first bad row, or leave bad rows out")
    parser.add_argument("--replace", action="store_true", help="make corpora again that exist already")
    parser.add_argument("--show", type=Path, metavar="DIR", help="check every file of a corpus and print what it holds")
    arguments = parser.parse_args(argv)
    console = Console(soft_wrap=True, highlight=False)
    if arguments.show is not None:
        _show(arguments.show, console)
        return 0
    if arguments.recipe is None and not arguments.overrides:
        raise UserError("name a recipe, such as prepare-real; --help shows how to write one")
    overrides = list(arguments.overrides)
    overrides += [f"on_bad_row={arguments.on_bad_row}"] if arguments.on_bad_row else []
    overrides += ["replace=true"] if arguments.replace else []
    settings = read_recipe(PrepareSettings, arguments.recipe, overrides)
    console.print(as_yaml(settings), markup=False)
    for prepared in prepare(settings):
        _summary(prepared, console)
    return 0


def _summary(prepared: Prepared, console: Console) -> None:
    """One table of train and dev, then what was met on the way."""
    train, report = ParallelCorpus.open(prepared.train), prepared.report
    dev = ParallelCorpus.open(prepared.dev) if prepared.dev else None
    table = _table(str(prepared.train.parent), "train ", *(["dev "] if dev else []))
    held_out = {one.lang: one for one in counts(dev)} if dev else {}
    for one in counts(train):
        other = held_out.pop(one.lang, None)
        table.add_row(one.lang, *_numbers(one), *(_numbers(other) if dev else []))
    for other in held_out.values():
        table.add_row(other.lang, *_numbers(None), *_numbers(other))
    console.print(table)
    _say(console, f"train: {_size(train)}", *([f"dev: {_size(dev)}"] if dev else ["dev: nothing held out"]))
    _say(console, *(f"note: {note}" for note in report.notes))
    if report.skipped:
        _say(
            console,
            f"{prepared.report.skipped:,} bad rows left out, such as:",
            *(f"  {line}" for line in prepared.report.sample),
        )
    console.print()


def _show(path: Path, console: Console) -> None:
    """All that is known of one directory."""
    corpus = ParallelCorpus.open(path)
    of = corpus.manifest
    table = _table(str(path), "")
    for one in counts(corpus):
        table.add_row(one.lang, *_numbers(one))
    console.print(table)
    _say(
        console,
        _size(corpus),
        f"hard negatives: {'yes' if corpus.has_hard_negatives else 'no'}",
        f"source: {of.source}",
        f"licence: {of.licence}",
        f"revision: {of.revision}",
        f"made by: {of.made_by}",
        f"fingerprint: {corpus.fingerprint[:16]}; every checksum agrees",
    )


def _table(title: str, *parts: str) -> Table:
    table = Table("language", title=title, title_justify="left", title_style="bold")
    for part in parts:
        for column in ("queries", "passages", "pairs"):
            table.add_column(part + column, justify="right")
    return table


def _numbers(one: LanguageCounts | None) -> list[str]:
    return [f"{one.queries:,}", f"{one.passages:,}", f"{one.pairs:,}"] if one else ["-"] * 3


def _size(corpus: ParallelCorpus) -> str:
    half = without_pair(corpus)
    return (
        f"{corpus.n_groups:,} groups in {corpus.manifest.n_clusters:,} clusters (largest {largest_cluster(corpus):,}), "
        f"{len(corpus.languages)} languages" + (f"; {half:,} groups have no query or no passage at all" if half else "")
    )


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, markup=False)


if __name__ == "__main__":
    run_job(main)
