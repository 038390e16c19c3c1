"""Moving an alias to a release that is whole and no worse than the standing one, and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from xlret.errors import CorruptError, UserError
from xlret.files import sha256_of
from xlret.release.alias import Move, aliases, history, move, moving, read_alias, standing_after
from xlret.release.quality import numbers_of, worse
from xlret.release.record import CURRENT_ALIAS, INDEX, RECORD, Quality, Release, ReleaseRecord, checked_name, read_record
from xlret.release.verify import verify_release
from xlret.storage.url import path_of

TOLERANCE = 0.005
"""How far quality may fall below the standing release's: about the noise of a dev set of some thousand queries."""


@dataclass(frozen=True)
class Listed:
    """One line of the list of releases."""

    name: str
    record: ReleaseRecord | None
    """None where it cannot be read."""
    damage: str | None
    aliases: tuple[str, ...]


def promote(
    root: Path,
    name: str,
    alias: str = CURRENT_ALIAS,
    *,
    benchmark: str | None = None,
    metric: str = "mul",
    tolerance: float = TOLERANCE,
    measured: Mapping[str, Quality] | None = None,
    force: bool = False,
) -> Release:
    """Checks every file of `root/name` and its quality against the standing release's, then moves the alias to it.

    Args:
        root: directory of releases.
        name: of the release.
        alias: what to move.
        benchmark: what both were measured on; may be left out where the release was measured on one only.
        metric: of the benchmark, of those where more is better.
        tolerance: how much lower than the standing release's the metric, and the index's recall@10, may be.
        measured: release name -> quality that is not in its release.json, because it was measured now.
        force: move the alias whatever the quality. A damaged release is refused all the same.

    Returns:
        The release that the alias names now.

    Raises:
        UserError: there is no such release, it is worse than the standing one, or the two cannot be compared.
        CorruptError: the release is damaged.
    """
    root = path_of(root)
    with moving(root):
        release = verify_release(root / checked_name(name))
        standing = read_alias(root, alias)
        mine = known_quality(root, name, alias, measured)
        reasons: list[str] = []
        if not force:
            benchmark = benchmark or only_benchmark(name, mine)
            numbers_of(name, mine, benchmark, metric)
            if standing is not None and standing != name:
                reasons = worse(mine, standing_quality(root, standing, alias, measured), benchmark, metric, tolerance)
        if reasons:
            raise UserError(
                f"{name} is not promoted: {'; '.join(reasons)}; allowed is {tolerance} (--tolerance), or promote with --force"
            )
        step = Move(
            kind="promote",
            release=name,
            at=_now(),
            record_sha256=sha256_of(release.path / RECORD),
            benchmark=benchmark,
            quality={measured_on: dict(numbers) for measured_on, numbers in (measured or {}).get(name, {}).items()},
            forced=force,
        )
        move(root, alias, step)
    return release


def promote_or_keep(root: Path, name: str, *, metric: str = "mul", tolerance: float = TOLERANCE) -> str:
    """Makes a release the current one, unless it is refused and another stands that can be served.

    Args:
        root, name, metric, tolerance: as of `promote`.

    Returns:
        In a sentence, which release is current now, and why the new one is not.

    Raises:
        UserError: it is refused, and there is nothing that could be served instead.
        CorruptError: it is damaged.
    """
    try:
        return f"{root / CURRENT_ALIAS} now names {promote(root, name, metric=metric, tolerance=tolerance).name}"
    except CorruptError:
        raise
    except UserError as error:
        standing = read_alias(root, CURRENT_ALIAS)
        if standing is None or not (root / standing / RECORD).is_file():
            raise
        return f"{root / CURRENT_ALIAS} still names {standing}: {error}"


def rollback(root: Path, alias: str = CURRENT_ALIAS) -> Release:
    """Moves the alias back to the release it named before; called again, to the one before that.

    Quality is not looked at; that the release is whole is.

    Raises:
        UserError: the alias named none before, or that release is gone.
        CorruptError: that release is damaged.
    """
    root = path_of(root)
    with moving(root):
        name = previous(root, alias)
        release = verify_release(root / name)
        move(root, alias, Move(kind="rollback", release=name, at=_now(), record_sha256=sha256_of(release.path / RECORD)))
    return release


def previous(root: Path, alias: str = CURRENT_ALIAS) -> str:
    """The release that `rollback` would go to.

    Raises:
        UserError: there is none.
    """
    standing = read_alias(root, alias)
    earlier = [name for name in standing_after(history(root, alias)) if name != standing]
    if standing is None or not earlier:
        raise UserError(f"{root}: {alias!r} named no other release before; promote one by its name")
    return earlier[-1]


def list_releases(root: Path) -> list[Listed]:
    """All releases of a directory, the oldest first. Only each release.json is read and checked.

    Raises:
        UserError: there is no such directory.
    """
    root = path_of(root)
    if not root.is_dir():
        raise UserError(f"there is no directory of releases {root}; xlret release make makes it")
    named = aliases(root)
    listed = []
    for path in sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        record, damage = None, None
        try:
            record = read_record(path)
        except UserError as error:
            damage = str(error)
        held = tuple(alias for alias, name in named.items() if name == path.name)
        listed.append(Listed(path.name, record, damage, held))
    return sorted(listed, key=lambda release: (release.record.created if release.record else "", release.name))


def known_quality(root: Path, name: str, alias: str = CURRENT_ALIAS, measured: Mapping[str, Quality] | None = None) -> Quality:
    """Quality of a release by its release.json, by measurements of earlier promotions, and by those given.

    Raises:
        UserError: there is no such release.
        CorruptError: its release.json is damaged.
    """
    path = path_of(root) / name
    record, digest = read_record(path), sha256_of(path / RECORD)
    earlier = [step for step in history(root, alias) if step.release == name and step.record_sha256 == digest]
    quality: dict[str, Mapping[str, float]] = {}
    for source in (*(step.quality for step in earlier), record.quality, (measured or {}).get(name, {})):
        quality |= source
    return quality


def only_benchmark(name: str, quality: Quality) -> str:
    """The one benchmark a release was measured on.

    Raises:
        UserError: there is none, or there are several.
    """
    known = sorted(set(quality) - {INDEX})
    if len(known) != 1:
        raise UserError(
            f"{name} was measured on {', '.join(known)}; say which decides: --benchmark {known[0]}"
            if known
            else f"{name} was not measured on any benchmark; give --corpus, or --benchmark and --data, to measure it now, "
            "or promote with --force"
        )
    return known[0]


def standing_quality(root: Path, name: str, alias: str, measured: Mapping[str, Quality] | None = None) -> Quality:
    """`known_quality` of the release that an alias names.

    Raises:
        UserError: it is gone or damaged; the message says that --force promotes all the same.
    """
    try:
        return known_quality(root, name, alias, measured)
    except CorruptError as error:
        raise UserError(f"the standing release cannot be compared with: {error}; promote with --force") from error
    except UserError as error:
        raise UserError(
            f"the standing release {name} is gone, so there is nothing to compare with; promote with --force"
        ) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
