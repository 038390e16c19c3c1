"""What a trial needs of a cluster, and how many trials it has room for at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xlret.errors import UserError
from xlret.training.settings import TrainJob

Resources = Mapping[str, float]
"""Ray's name of a resource, such as CPU, GPU or memory (bytes) -> how much."""


@dataclass(frozen=True)
class Needs:
    """What a trial holds from its start to its end."""

    own: Resources
    """Of the trial's own process."""
    workers: tuple[Resources, ...] = ()
    """Of each of its workers, where Ray Train has its own: all are given at once or none is, on any nodes."""


def trial_needs(run: TrainJob, memory_gb: float | None = None) -> Needs:
    """What a trial with this recipe needs.

    A run of one worker is trained in the trial's own process. One of more has Ray Train's workers and, for each, a task that
    assembles its batches.

    >>> from pathlib import Path
    >>> trial_needs(TrainJob(name="n", corpora=(Path("c"),), ray={"workers": 2, "cpus_per_worker": 1}))
    Needs(own={'CPU': 0.01}, workers=({'CPU': 1.25}, {'CPU': 1.25}))
    """
    memory = {} if memory_gb is None else {"memory": memory_gb * 2**30}
    gpu = {"GPU": 1.0} if run.ray.gpu else {}
    if run.ray.workers <= 1:
        return Needs({"CPU": float(run.ray.threads_per_worker), **gpu, **memory})
    worker = {"CPU": run.ray.cpus_per_worker + run.ray.cpus_per_task, **gpu}
    return Needs({"CPU": _WATCHING, **memory}, (worker,) * run.ray.workers)


def room_for(nodes: Sequence[Resources], needs: Needs) -> int:
    """How many such trials fit on nodes at once, each of their processes on the first node that has room.

    >>> room_for([{"CPU": 2.0}, {"CPU": 1.0}], Needs({"CPU": 1.0}))
    3
    >>> room_for([{"CPU": 2.0}, {"CPU": 1.0}], Needs({"CPU": 0.0}, ({"CPU": 1.0}, {"CPU": 1.0})))
    1
    """
    free = [dict(node) for node in nodes]
    count = 0
    while count < _MOST and all(_taken(free, process) for process in (*needs.workers, needs.own)):
        count += 1
    return count


_WATCHING = 0.01
"""CPUs of a process that only waits for its workers; Ray places nothing that needs nothing."""
_MOST = 1000
"""Trials at once are never more: one that needs nothing would fit for ever."""


def trials_at_once(nodes: Sequence[Resources], trials: Iterable[Needs], most: int | None = None) -> int:
    """How many trials may run together so that none waits for what another holds, whichever of them these are.

    Args:
        nodes: what each node of the cluster has.
        trials: what the sweep's trials need.
        most: what the user allows.

    Raises:
        UserError: a trial that the cluster can never run.
    """
    counts = []
    for needs in trials:
        count = room_for(nodes, needs)
        if not count:
            total = sum(process.get("CPU", 0) for process in needs.workers)
            wanted = f"{len(needs.workers)} workers of {_told(needs.workers[0])} each, {total:g} CPUs" if needs.workers else ""
            raise UserError(
                f"a trial needs {wanted or _told(needs.own)}, which the cluster never has: its nodes have "
                f"{'; '.join(map(_told, nodes)) or 'nothing'}; lower ray.workers, ray.cpus_per_worker or trial.memory_gb, "
                "or take a larger cluster"
            )
        counts.append(count)
    return min([*counts, most or _MOST])


def _taken(free: Sequence[dict[str, float]], process: Resources) -> bool:
    """Takes what a process needs from the first node that has it; says whether one had."""
    for node in free:
        if all(node.get(name, 0.0) + 1e-9 >= amount for name, amount in process.items()):
            for name, amount in process.items():
                node[name] = node.get(name, 0.0) - amount
            return True
    return False


def _told(resources: Resources) -> str:
    """Such as `2 CPUs, 1 GPU, 3.0 GB memory`."""
    parts = [f"{resources[name]:g} {name}{'' if resources[name] == 1 else 's'}" for name in ("CPU", "GPU") if name in resources]
    return ", ".join(parts + ([f"{resources['memory'] / 2**30:.1f} GB memory"] if "memory" in resources else []))
