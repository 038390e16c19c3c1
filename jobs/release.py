"""Releases: `python -m jobs.release make | verify | promote | list`."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from jobs.cli import run_job
from xlret.config import settings_from
from xlret.errors import UserError
from xlret.evaluation.report import as_json
from xlret.evaluation.run import evaluate_encoder, retrieval_sets
from xlret.evaluation.settings import EvaluateSettings
from xlret.files import expand_path
from xlret.release.alias import read_alias
from xlret.release.make import make_release
from xlret.release.promote import TOLERANCE, known_quality, list_releases, previous, promote, rollback, standing_quality
from xlret.release.quality import GATES, quality_of
from xlret.release.record import CURRENT_ALIAS, Quality, Release, ReleaseRecord, checked_name
from xlret.release.verify import verify_release

EXAMPLE = f"""\
A release is what gets served: an encoder, the index that was made with it, perhaps a reranker, and how good they are, in one
directory with a checksum of every file. It is made once and never changed.

  python -m jobs.evaluate --encoder runs/NAME/model --corpus corpora/mine/dev --out runs/NAME/dev
  python -m jobs.index --encoder runs/NAME/model --passages my/passages.jsonl.gz --out runs/NAME/index
  python -m jobs.release make 2026-05 --encoder runs/NAME/model --index runs/NAME/index --evaluation runs/NAME/dev
  python -m jobs.release promote 2026-05               # `{CURRENT_ALIAS}` names it now: jobs.serve serves that
  python -m jobs.release promote --previous            # and back again
  python -m jobs.release promote 2026-06 --corpus corpora/mine/dev      # measures both releases first
  python -m jobs.release verify 2026-05                # reads every byte
  python -m jobs.release list

What promote asks of a release: every file is there and as it was written, none besides; the index was made with the very
encoder beside it; --metric on --benchmark, and recall@10 of the index against exact search, are at most --tolerance below
the standing release's, measured on the same. --force leaves out the comparison, never the checks.

What may not be in a release: pickled weights (.bin, .pt), Python files, settings that load code (auto_map), links, files that
release.json does not list.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Makes, checks, promotes or lists releases."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.release",
        description="Makes releases of encoder and index, checks them, and says which one is served.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--root", default="runs/releases", help="directory of releases (default runs/releases)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="make | verify | promote | list")
    _make_arguments(commands.add_parser("make", parents=[common], help="put the parts into one directory with checksums"))
    check = commands.add_parser("verify", parents=[common], help="read every byte of releases and compare")
    check.add_argument("releases", nargs="+", metavar="RELEASE", help="name in --root, or a release's directory")
    _promote_arguments(commands.add_parser("promote", parents=[common], help="move an alias, if quality allows it"))
    commands.add_parser("list", parents=[common], help="releases, their quality, and which is current")
    arguments = parser.parse_args(argv)
    console = Console(soft_wrap=True, highlight=False)
    root = expand_path(Path(arguments.root))
    {"make": _make, "verify": _verify, "promote": _promote, "list": _list}[arguments.command](root, arguments, console)
    return 0


def _make_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", help="of the new release: a-z, 0-9, '.', '_', '-'")
    add("--encoder", required=True, help="directory of the encoder, such as runs/NAME/model")
    add("--index", required=True, help="what jobs.index made with it (its current version), or one version")
    add("--reranker", help="directory of a cross-encoder with one logit")
    add("--evaluation", action="append", default=[], help="evaluation.json of jobs.evaluate, or its directory; may be repeated")
    add("--copy", action="store_true", help="copy the index's files, which are hard links otherwise")


def _promote_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", nargs="?", help="release that the alias is to name")
    add("--previous", action="store_true", help="back to the release before; may be repeated")
    add("--alias", default=CURRENT_ALIAS, help=f"what to move (default {CURRENT_ALIAS})")
    add("--benchmark", help="what decides (default: the one benchmark that the release was measured on)")
    add("--metric", default="mul", choices=GATES, help="of that benchmark (default mul)")
    add("--tolerance", type=float, default=TOLERANCE, help=f"how far it may fall (default {TOLERANCE})")
    add("--corpus", help="prepared corpus to measure both releases on, where they were not yet")
    add("--data", help="the same for --benchmark: directory with its published files")
    add("--groups", type=int, help="at most so many groups of --corpus")
    add("--force", action="store_true", help="promote whatever the quality")


def _make(root: Path, arguments: argparse.Namespace, console: Console) -> None:
    path = make_release(
        root,
        arguments.name,
        expand_path(Path(arguments.encoder)),
        expand_path(Path(arguments.index)),
        expand_path(Path(arguments.reranker)) if arguments.reranker else None,
        evaluations=[expand_path(Path(one)) for one in arguments.evaluation],
        link=not arguments.copy,
    )
    show_release(verify_release(path), console)
    console.print(f"next: python -m jobs.release promote {arguments.name}", markup=False)


def _verify(root: Path, arguments: argparse.Namespace, console: Console) -> None:
    for one in arguments.releases:
        path = expand_path(Path(one)) if "/" in one or one.startswith((".", "~")) else root / checked_name(one)
        show_release(verify_release(path), console)


def _promote(root: Path, arguments: argparse.Namespace, console: Console) -> None:
    if arguments.previous == (arguments.name is not None):
        raise UserError("name the release to promote, or give --previous for the one before")
    if arguments.previous:
        console.print(f"{arguments.alias} goes back to {previous(root, arguments.alias)}", markup=False)
        release = rollback(root, arguments.alias)
    else:
        measured, benchmark = _measure(root, arguments) if arguments.corpus or arguments.data else ({}, arguments.benchmark)
        release = promote(
            root,
            checked_name(arguments.name),
            arguments.alias,
            benchmark=benchmark,
            metric=arguments.metric,
            tolerance=arguments.tolerance,
            measured=measured,
            force=arguments.force,
        )
    console.print(f"{root / arguments.alias} now names {release.name}", markup=False)


def _measure(root: Path, arguments: argparse.Namespace) -> tuple[Mapping[str, Quality], str]:
    """Evaluates the release and, to compare, the standing one; each unless it was measured on the same before."""
    values = {key: getattr(arguments, key) for key in ("benchmark", "data", "corpus", "groups")}
    settings = settings_from(EvaluateSettings, {key: value for key, value in values.items() if value is not None})
    measured: dict[str, Quality] = {}
    known = {arguments.name: known_quality(root, checked_name(arguments.name), arguments.alias)}
    standing = read_alias(root, arguments.alias)
    if standing is not None and not arguments.force:  # with --force nobody asks for it, and it may be gone
        known[standing] = standing_quality(root, standing, arguments.alias)
    benchmark, sizes = settings.benchmark, {"queries": 0, "passages": 0}
    for one in retrieval_sets(settings):
        benchmark = benchmark or one.name
        sizes["queries"] += len(one.query_ids)
        sizes["passages"] += len(one.passage_ids)
    assert benchmark is not None, "nothing to measure on"
    for name, quality in known.items():
        if sizes.items() <= quality.get(benchmark, {}).items():
            continue
        found = evaluate_encoder(str(verify_release(root / checked_name(name)).encoder), settings, None)
        measured[name] = {benchmark: quality_of([as_json(one) for one in found], benchmark)[1]}
    return measured, benchmark


def show_release(release: Release, console: Console) -> None:
    """Prints what is in a release that was found whole."""
    files = release.record.files
    size = sum(one.size for one in files.values()) / 2**20
    _show(release.name, release.record, f"{len(files)} files, {size:,.1f} MiB, every checksum agrees; ", console)


def _list(root: Path, arguments: argparse.Namespace, console: Console) -> None:
    for one in list_releases(root):
        mark = f"{', '.join(one.aliases)} -> " if one.aliases else ""
        if one.record is None:
            console.print(f"{mark}{one.name}: {one.damage}", style="red", markup=False)
            continue
        _show(mark + one.name, one.record, "", console)


def _show(title: str, record: ReleaseRecord, checked: str, console: Console) -> None:
    console.print(
        f"{title}: {checked}{record.index.passages:,} passages in {len(record.languages)} languages, {record.index.shards} "
        f"shards of {record.index.factory}, {record.dimension} dimensions{', with a reranker' if record.reranker else ''}; "
        f"made {record.created}",
        markup=False,
    )
    for benchmark, numbers in record.quality.items():
        console.print(f"  {benchmark}: {_numbers(numbers)}", markup=False)


def _numbers(numbers: Mapping[str, float]) -> str:
    shown = {name: value for name, value in numbers.items() if name in (*GATES[:4], "recall@10", "rank_distance")}
    return "  ".join(f"{name} {value:.4f}" for name, value in shown.items())


if __name__ == "__main__":
    run_job(main)
