"""`xlret prepare`: from data sets and files of one's own to prepared corpora."""

from pathlib import Path

from cyclopts import App
from rich.console import Console

from xlret.commands.against import Against, against_settings, check_benchmarks, tell_benchmark_texts
from xlret.commands.corpus import count_cells, counts_table, sizes
from xlret.commands.frame import Overrides, new_app
from xlret.commands.keys import recipe_keys
from xlret.config import as_yaml, read_recipe
from xlret.data.atlas import build_atlas
from xlret.data.corpus import ParallelCorpus
from xlret.data.counts import counts
from xlret.data.prepare import Prepared, PrepareSettings, prepare
from xlret.data.rows import BadRowPolicy
from xlret.errors import UserError
from xlret.files import expand_path

EPILOGUE = """\
examples:
  xlret prepare prepare-real
  xlret prepare prepare-mmarco --dry-run      # what it would take
  xlret prepare --atlas corpora/atlas
  xlret prepare my.yaml --set corpora.mine.dev=500 --on-bad-row skip
  xlret prepare my.yaml --against xquad-r,tatoeba

A recipe for files of your own, in JSON lines, CSV, TSV or Parquet, with the
columns group_id, lang, query, title, text (rows of one group_id say the same
in several languages; title may be missing, and queries may come in another
file than texts):

  output: corpora                 # makes corpora/mine/train and corpora/mine/dev
  corpora:
    mine:
      read:
        format: rows              # or beir, msmarco, trec, ntrex, ... (see below)
        files:
          - my/rows.jsonl.gz
          - {path: my/german.csv, lang: de, columns: {group_id: id, text: body}}
        licence: CC0
      dev: 200                    # groups held out, never part of a cluster of
                                  # equal queries or passages

Bad rows stop the command with `file:line: reason`, or are left out and counted
with --on-bad-row skip.

--against tells which texts of benchmarks stand in what will be trained on:
their queries and passages, of which 70 % of all runs of 8 words are there
(16 letters where words are not set apart; shorter texts, where one is there
as it is). It looks through the corpora once they are made, prints how many
of each language and some of them, and exits with 1 if there are any; the
corpora stay. A recipe says the same by `against: [xquad-r, tatoeba]`. Corpora
that are there already: xlret corpus corpora/mine/train --against xquad-r

What a recipe may say, each also by --set:

""" + recipe_keys(PrepareSettings)
app: App = new_app("prepare", "Make corpora of public data sets and of your own files.", EPILOGUE)


@app.default
def prepare_corpora(
    recipe: str | None = None,
    /,
    *,
    overrides: Overrides = (),
    on_bad_row: BadRowPolicy | None = None,
    replace: bool = False,
    atlas: Path | None = None,
    against: Against = (),
    hub: bool = False,
    dry_run: bool = False,
) -> int:
    """Makes the corpora that a recipe names, each with a held-out part if it says so.

    Args:
        recipe: a YAML file, or the name of a recipe that comes with xlret
        overrides: KEY=VALUE, one setting in place of the recipe's; may be given again
        on_bad_row: stop at the first bad row, or leave bad rows out and count them
        replace: make corpora again that exist already
        atlas: make the embedded corpus in this directory, if it is not there, instead of a recipe's
        against: benchmarks none of whose texts may be in training data: names, or NAME=DIRECTORY with the published files,
            which are looked for in $XLRET_SHARED/data/NAME by default
        hub: fetch those of them that are not on this machine from the hub
        dry_run: only tell what it would take: files, about how many rows, languages, disk and memory
    """
    if atlas is not None:
        if recipe is not None or overrides:
            raise UserError("--atlas is the embedded corpus and needs no recipe; give one of the two")
        _make_atlas(expand_path(atlas), replace)
        return 0
    if recipe is None and not overrides:
        raise UserError("name a recipe, such as prepare-real; xlret prepare --help shows how to write one")
    given = [f"on_bad_row={on_bad_row}"] if on_bad_row else []
    given += ["replace=true"] if replace else []
    settings = read_recipe(PrepareSettings, recipe, [*overrides, *given])
    settings = settings.model_copy(update={"against": {**settings.against, **against_settings(against, hub=hub)}})
    check_benchmarks(settings.against)
    print(as_yaml(settings))
    if dry_run:
        _foresee(settings)
        return 0
    made = []
    for prepared in prepare(settings):
        _summary(prepared)
        made.append(prepared.train)
    if not settings.against:
        return 0
    return 1 if tell_benchmark_texts(made, settings.against, Console(soft_wrap=True, highlight=False)) else 0


def _foresee(settings: PrepareSettings) -> None:
    """Prints what each corpus would take; nothing is fetched or written."""
    for name, corpus in settings.corpora.items():
        foreseen, target = corpus.read.foreseen(), settings.output / name
        print(f"{target}{' exists already' if target.exists() else ''}:")
        fetched = f", {_shown(foreseen.fetched_bytes)} of them to be fetched" if foreseen.fetched_bytes else ""
        print(f"  {len(foreseen.files):,} files, {_shown(sum(foreseen.files.values()))}{fetched}")
        rows = "rows: only reading tells" if foreseen.rows is None else f"about {foreseen.rows:,} rows"
        print(f"  {rows}" + (f" in {foreseen.groups:,} groups" if foreseen.groups else ""))
        print(f"  languages: {', '.join(foreseen.languages) or 'as the rows say'}")
        disk, memory = (_shown(value) for value in (foreseen.disk_bytes, foreseen.memory_bytes))
        print(f"  about {disk} of disk meanwhile, {memory} of memory")
        for note in foreseen.notes:
            print(f"  note: {note}")


def _shown(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.1f} MiB"


def _make_atlas(directory: Path, replace: bool) -> None:
    if replace or not (directory / "train" / "manifest.json").exists():
        print(build_atlas(directory, seed=0, replace=True))
    else:
        print(f"{directory} is there already (--replace makes it again)")


def _summary(prepared: Prepared) -> None:
    """Prints one table of train and dev, then what was met on the way."""
    train, report = ParallelCorpus.open(prepared.train), prepared.report
    dev = ParallelCorpus.open(prepared.dev) if prepared.dev else None
    table = counts_table(str(prepared.train.parent), "train ", *(["dev "] if dev else []))
    held_out = {language.lang: language for language in counts(dev)} if dev else {}
    for language in counts(train):
        in_dev = held_out.pop(language.lang, None)
        table.add_row(language.lang, *count_cells(language), *(count_cells(in_dev) if dev else []))
    for language in held_out.values():
        table.add_row(language.lang, *count_cells(None), *count_cells(language))
    Console(soft_wrap=True, highlight=False).print(table)
    print(f"train: {sizes(train)}")
    print(f"dev: {sizes(dev)}" if dev else "dev: nothing held out")
    for line in report.summary():
        print(line)
    print()
