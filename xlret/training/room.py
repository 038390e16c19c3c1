"""How many workers a cluster has room for now, so that a run goes on with fewer of them when machines are gone."""

from collections.abc import Mapping, Sequence

from ray.util.placement_group import placement_group, remove_placement_group

from xlret.training.progress import Print

_TRY_S = 5.0
"""How long Ray may take to place workers that there is room for."""


def worker_counts(batch_size: int, workers: int, least: int | None) -> list[int]:
    """The numbers of workers that a run may have, the largest first: each takes an equal part of the batch.

    >>> worker_counts(16, 8, 2)
    [8, 4, 2]
    >>> worker_counts(16, 8, None)
    [8]
    """
    return [count for count in range(workers, (least or workers) - 1, -1) if batch_size % count == 0]


def workers_with_room(counts: Sequence[int], worker: Mapping[str, float], wait_s: float, show: Print) -> int:
    """The first of `counts` that the cluster has room for; nothing is reserved when this returns.

    It waits `wait_s` for the first count, since a dead machine may be replaced, then takes fewer; where even the last does not
    fit it says so once and waits on.

    Args:
        counts: of workers, the wanted one first.
        worker: what Ray reserves for each.
        wait_s: seconds.
    """
    told = False
    patience = wait_s
    while True:
        for count in counts:
            if _has_room(count, worker, patience):
                return count
            patience = _TRY_S
        if not told:
            each = ", ".join(f"{amount:g} {name}" for name, amount in worker.items())
            show(f"  the cluster has no room for {counts[-1]} workers ({each} each); waiting until it has")
            told = True


def _has_room(count: int, worker: Mapping[str, float], wait_s: float) -> bool:
    """Whether Ray can place so many workers within so many seconds; a cluster that grows on demand is asked to grow."""
    group = placement_group([dict(worker)] * count, strategy="PACK")
    try:
        return bool(group.wait(wait_s))
    finally:
        remove_placement_group(group)
