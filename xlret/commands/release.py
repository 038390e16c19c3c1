"""`xlret release`: make releases of encoder and index, check them, and say which one is served."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from xlret.commands.frame import new_app
from xlret.config import settings_from
from xlret.evaluation.settings import EvaluateSettings
from xlret.files import expand_path
from xlret.release.make import make_release
from xlret.release.promote import TOLERANCE, list_releases, previous, rollback
from xlret.release.promote import promote as promote_release
from xlret.release.quality import GATES
from xlret.release.record import CURRENT_ALIAS, Quality, Release, ReleaseRecord, checked_name
from xlret.release.verify import verify_release
from xlret.storage.url import path_of

EPILOGUE = f"""\
A release is what gets served: an encoder, the index that was made with it,
perhaps a reranker, and how good they are, in one directory with a checksum of
every file. It is made once and never changed.

  xlret evaluate --encoder runs/NAME/model --corpus corpora/mine/dev \\
      --out runs/NAME/dev
  xlret index build runs/NAME/index --encoder runs/NAME/model \\
      --passages my/passages.jsonl.gz
  xlret release make 2026-05 --encoder runs/NAME/model --index runs/NAME/index \\
      --evaluation runs/NAME/dev
  xlret release promote 2026-05      # `{CURRENT_ALIAS}` names it now
  xlret release rollback             # and back again
  xlret release promote 2026-06 --corpus corpora/mine/dev
                                     # measures both releases first
  xlret release verify 2026-05       # reads every byte
  xlret release list

What promote asks of a release: every file is there and as it was written, none
besides; the index was made with the very encoder beside it; --metric on
--benchmark, and recall@10 of the index against exact search, are at most
--tolerance below the standing release's, measured on the same. --force leaves
out the comparison, never the checks.

What may not be in a release: pickled weights (.bin, .pt), Python files,
settings that load code (auto_map), links, files that release.json does not
list.
"""
app: App = new_app("release", "Make releases of encoder and index, check them, say which is served.", EPILOGUE)

Root = Annotated[Path, Parameter(help="directory of releases")]
Alias = Annotated[str, Parameter(help="what names a release")]
ROOT = Path("runs/releases")


@app.command
def make(
    name: str,
    /,
    *,
    encoder: Path,
    index: Path,
    reranker: Path | None = None,
    evaluation: tuple[Path, ...] = (),
    copy: bool = False,
    root: Root = ROOT,
) -> None:
    """Put the parts into one directory with checksums.

    Args:
        name: of the new release: a-z, 0-9, '.', '_', '-'
        encoder: directory of the encoder, such as runs/NAME/model
        index: what `xlret index build` made with it (its current version), or one version
        reranker: directory of a cross-encoder with one logit
        evaluation: evaluation.json of `xlret evaluate`, or its directory; may be several
        copy: copy the index's files, which are hard links otherwise
    """
    path = make_release(
        expand_path(root),
        name,
        expand_path(encoder),
        expand_path(index),
        None if reranker is None else expand_path(reranker),
        evaluations=[expand_path(path) for path in evaluation],
        link=not copy,
    )
    show_release(verify_release(path), _console())
    below = "" if root == ROOT else f" --root {path_of(root)}"
    print(f"next: xlret release promote {name}{below}")


@app.command
def verify(releases: tuple[str, ...], /, *, root: Root = ROOT) -> None:
    """Read every byte of releases and compare.

    Args:
        releases: names in --root, or directories of releases
    """
    for release in releases:
        is_path = "/" in release or release.startswith((".", "~"))
        path = expand_path(Path(release)) if is_path else expand_path(root) / checked_name(release)
        show_release(verify_release(path), _console())


@app.command
def promote(
    name: str,
    /,
    *,
    alias: Alias = CURRENT_ALIAS,
    benchmark: str | None = None,
    metric: str = "mul",
    tolerance: float = TOLERANCE,
    corpus: Path | None = None,
    data: Path | None = None,
    groups: int | None = None,
    force: bool = False,
    root: Root = ROOT,
) -> None:
    """Move an alias to a release, if quality allows it.

    Args:
        name: release that the alias is to name
        benchmark: what decides (by default the one benchmark that the release was measured on)
        metric: of that benchmark: mul, mo, cr, micro, map@20, ndcg@10, mrr@10 or recall@1, @10, @100
        tolerance: how far it may fall
        corpus: prepared corpus to measure both releases on, where they were not yet
        data: the same for --benchmark: directory with its published files
        groups: at most so many groups of --corpus
        force: promote whatever the quality
    """
    directory = expand_path(root)
    measured: Mapping[str, Quality] = {}
    if corpus is not None or data is not None:
        from xlret.release.measure import measure_releases

        values = {"benchmark": benchmark, "data": data, "corpus": corpus, "groups": groups}
        settings = settings_from(EvaluateSettings, {key: value for key, value in values.items() if value is not None})
        measured, benchmark = measure_releases(directory, name, settings, alias, compare=not force)
    release = promote_release(
        directory,
        checked_name(name),
        alias,
        benchmark=benchmark,
        metric=metric,
        tolerance=tolerance,
        measured=measured,
        force=force,
    )
    print(f"{directory / alias} now names {release.name}")


@app.command(name="rollback")
def roll_back(*, alias: Alias = CURRENT_ALIAS, root: Root = ROOT) -> None:
    """Move an alias back to the release before; may be repeated."""
    directory = expand_path(root)
    print(f"{alias} goes back to {previous(directory, alias)}")
    print(f"{directory / alias} now names {rollback(directory, alias).name}")


@app.command(name="list")
def list_all(*, root: Root = ROOT) -> None:
    """Show the releases, their quality, and which is current."""
    console = _console()
    for listed in list_releases(expand_path(root)):
        mark = f"{', '.join(listed.aliases)} -> " if listed.aliases else ""
        if listed.record is None:
            console.print(f"{mark}{listed.name}: {listed.damage}", style="red", markup=False)
        else:
            _show(mark + listed.name, listed.record, "", console)


def show_release(release: Release, console: Console) -> None:
    """Prints what is in a release that was found whole."""
    files = release.record.files
    size = sum(file.size for file in files.values()) / 2**20
    _show(release.name, release.record, f"{len(files)} files, {size:,.1f} MiB, every checksum agrees; ", console)


def _show(title: str, record: ReleaseRecord, checked: str, console: Console) -> None:
    console.print(
        f"{title}: {checked}{record.index.passages:,} passages in {len(record.languages)} languages, {record.index.shards} "
        f"shards of {record.index.factory}, {record.dimension} dimensions"
        f"{f', debias {record.index.debias}' if record.index.debias else ''}{', with a reranker' if record.reranker else ''}; "
        f"made {record.created}",
        markup=False,
    )
    for benchmark, numbers in record.quality.items():
        console.print(f"  {benchmark}: {_numbers(numbers)}", markup=False)


def _numbers(numbers: Mapping[str, float]) -> str:
    shown = {name: value for name, value in numbers.items() if name in (*GATES[:4], "recall@10", "rank_distance")}
    return "  ".join(f"{name} {value:.4f}" for name, value in shown.items())


def _console() -> Console:
    return Console(soft_wrap=True, highlight=False)
