"""Parts of the input put together: which rows make a group, which groups make a cluster, and the order of the groups.

Groups are told apart by 128-bit hashes of their ids (two of a billion agree by chance with a probability of about 1e-21), so
that memory holds 24 bytes for each group and some numbers for each text of one language, never ids or texts.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xlret.data.cluster import joined
from xlret.data.manifest import side_file
from xlret.data.mapped import MappedTable
from xlret.data.rows import ReadingReport
from xlret.data.seen import FirstSeen
from xlret.data.spool import ORDINALS, ROWS, SideKey, SpooledPart
from xlret.shapes import IntArray

_SIDES_AT_ONCE = 40
"""Bits of a group's signature that are added before signatures are numbered anew."""


@dataclass
class Gathered:
    """All rows of the input. A group is called by its ordinal: the order in which groups first appeared."""

    parts: list[Path]
    first_rows: IntArray
    """Of each group, the number over all parts of the row in which it first appeared."""
    part_starts: IntArray
    """Rows before each part, and in all."""
    sides: dict[SideKey, Path]
    """The ordinals of each side's texts, part by part, -1 where a row was left out."""
    same_cluster: IntArray
    """Pairs of ordinals [P, 2] that the user put into one cluster."""

    @property
    def n_groups(self) -> int:
        """How many groups."""
        return len(self.first_rows)

    def ordinals(self, side: SideKey) -> IntArray:
        """The group of each text of a side, -1 where its row was left out."""
        ordinals: IntArray = np.load(self.sides[side], mmap_mode="r")
        return ordinals


def gathered(spooled: Iterable[SpooledPart], directory: Path, report: ReadingReport) -> Gathered:
    """Puts parts together, in their order. A side that a group already has in a language makes a row a bad one.

    Args:
        spooled: the parts.
        directory: for files of numbers.
        report: told of all that was met, in the order of the input.

    Raises:
        DataError: the first bad row, unless they are left out; or what else ended the reading, whichever comes first.
    """
    parts: list[SpooledPart] = []
    seen, seen_clusters = FirstSeen(), FirstSeen()
    first_rows, starts, pairs = array("q"), [0], [np.empty((0, 2), np.int64)]
    for part in spooled:
        table = MappedTable(part.directory / ROWS)
        groups_N2 = np.stack([table.whole("group_high"), table.whole("group_low")], axis=1).view(np.uint64)
        numbers = np.arange(starts[-1], starts[-1] + len(table))
        first = seen.add_hashes(groups_N2, numbers)
        first_rows.frombytes(numbers[first == numbers].tobytes())
        np.save(part.directory / ORDINALS, np.searchsorted(np.frombuffer(first_rows, np.int64), first))
        starts.append(starts[-1] + len(table))
        parts.append(part)
        if part.failure is not None:
            break
    sides = _sides(parts, directory)
    if repeats := _left_out(parts, sides):
        sides = _sides(parts, directory)
    _tell(parts, repeats, report)
    for part in parts:
        table, ordinals = MappedTable(part.directory / ROWS), np.load(part.directory / ORDINALS)
        clusters_N2 = np.stack([table.whole("cluster_high"), table.whole("cluster_low")], axis=1).view(np.uint64)
        given = clusters_N2.any(axis=1) & (ordinals >= 0)
        first = seen_clusters.add_hashes(clusters_N2[given], ordinals[given])
        apart = first != ordinals[given]
        pairs.append(np.stack([first[apart], ordinals[given][apart]], axis=1))
    return Gathered(
        [part.directory for part in parts],
        np.array(first_rows, np.int64),
        np.array(starts, np.int64),
        {side: path for side, path in sides.items() if (np.load(path, mmap_mode="r") >= 0).any()},
        np.unique(np.concatenate(pairs), axis=0),
    )


def ordered(gathered_rows: Gathered, groups: IntArray) -> IntArray:
    """Groups (ordinals) by the sides that they have, ties as they are given.

    The side that most of the groups have decides first, so that it is one range, the next at most two, and so on.
    """
    chosen = np.zeros(gathered_rows.n_groups, bool)
    chosen[groups] = True
    rows = {side: _count(chosen, gathered_rows.ordinals(side)) for side in gathered_rows.sides}
    signature, added = np.zeros(len(groups), np.int64), 0
    for side in sorted(rows, key=lambda side: (-rows[side], side)):
        lacking = np.ones(gathered_rows.n_groups, bool)
        ordinals = gathered_rows.ordinals(side)
        lacking[ordinals[ordinals >= 0]] = False
        signature, added = signature << 1 | lacking[groups], added + 1
        if added % _SIDES_AT_ONCE == 0:
            signature = np.unique(signature, return_inverse=True)[1]
    order: IntArray = groups[np.argsort(signature, kind="stable")]
    return order


def joined_clusters(n_groups: int, pairs: Iterable[IntArray]) -> IntArray:
    """Of each group (ordinal) the smallest ordinal of its cluster."""
    return joined(n_groups, np.concatenate(list(pairs)))


def called_by_place(roots: IntArray, order: IntArray) -> IntArray:
    """The cluster of each group of `order`, called by the place of its first group there.

    >>> called_by_place(np.array([0, 1, 0, 1]), np.array([3, 2, 1, 0])).tolist()
    [0, 1, 0, 1]
    """
    _, first, cluster = np.unique(roots[order], return_index=True, return_inverse=True)
    clusters: IntArray = first[cluster]
    return clusters


def _count(chosen: NDArray[np.bool_], ordinals: IntArray) -> int:
    return int(chosen[ordinals[ordinals >= 0]].sum())


def _sides(parts: Sequence[SpooledPart], directory: Path) -> dict[SideKey, Path]:
    """For each side a file with the group of each of its texts, part by part."""
    sides: dict[SideKey, Path] = {}
    for side in sorted({side for part in parts for side in part.sides}):
        ordinals = [
            np.load(part.directory / ORDINALS, mmap_mode="r")[MappedTable(part.directory / side_file(*side)).whole("row")]
            for part in parts
            if side in part.sides
        ]
        sides[side] = directory / f"{side_file(*side)}.npy"
        np.save(sides[side], np.concatenate(ordinals))
    return sides


def _left_out(parts: Sequence[SpooledPart], sides: dict[SideKey, Path]) -> list[tuple[int, int, str, str]]:
    """Rows with a side that their group has already: (part, row, where, reason). They lose their ordinals."""
    twice = []
    for path in sides.values():
        ordinals = np.sort(np.load(path))
        twice.append(ordinals[1:][(ordinals[1:] == ordinals[:-1]) & (ordinals[1:] >= 0)])
    doubtful = np.unique(np.concatenate(twice)) if twice else np.empty(0, np.int64)
    repeats: list[tuple[int, int, str, str]] = []
    given: set[tuple[int, SideKey]] = set()
    for number, part in enumerate(parts if len(doubtful) else ()):
        ordinals = np.load(part.directory / ORDINALS)
        sides_of: dict[int, list[SideKey]] = {row: [] for row in np.flatnonzero(np.isin(ordinals, doubtful)).tolist()}
        for side in sorted(part.sides, reverse=True):  # a row's query is looked at before its passage
            rows = MappedTable(part.directory / side_file(*side)).whole("row")
            for row in rows[np.isin(ordinals[rows], doubtful)].tolist():
                sides_of[row].append(side)
        for row, row_sides in sides_of.items():
            group = int(ordinals[row])
            repeated = next((side for side in row_sides if (group, side) in given), None)
            if repeated is None:
                given.update((group, side) for side in row_sides)
                continue
            table, ordinals[row] = MappedTable(part.directory / ROWS), -1
            [where], [group_id] = (table.texts(column, np.array([row])) for column in ("where", "group_id"))
            reason = f"group {group_id!r} has a {repeated[0]} in {repeated[1]} already; each language may come once"
            repeats.append((number, row, where, reason))
        np.save(part.directory / ORDINALS, ordinals)
    return repeats


def _tell(parts: Sequence[SpooledPart], repeats: Sequence[tuple[int, int, str, str]], report: ReadingReport) -> None:
    """Hands on what was met in the parts, in the order of the input."""
    events: list[tuple[int, int, int, str, str]] = [(part, row, 1, where, reason) for part, row, where, reason in repeats]
    for number, part in enumerate(parts):
        for position, message in zip(part.report.positions, part.report.sample, strict=True):
            events.append((number, position, 0, "", message))
        if part.failure is not None:
            events.append((number, part.report.rows, 2, "", ""))
    for number, _, kind, where, reason in sorted(events):
        failure = parts[number].failure
        if kind == 2 and failure is not None:
            raise failure
        report.bad(where, reason)
    report.skipped += sum(part.report.skipped - len(part.report.sample) for part in parts)
    for part in parts:
        report.take_notes(part.report)
