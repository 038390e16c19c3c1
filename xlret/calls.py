"""Calls of one function with many arguments: one after the other in this process, or side by side as tasks of Ray.

What is called is the same either way, reads files and writes files; Ray only says where and when it runs.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol, TypeVar

A = TypeVar("A")
R = TypeVar("R")


class Calls(Protocol):
    """How calls are placed."""

    def __call__(self, function: Callable[[A], R], arguments: Iterable[A]) -> Iterator[R]:
        """The results in the order of the arguments; an error of a call is raised as it was in the call."""


def in_turn(function: Callable[[A], R], arguments: Iterable[A]) -> Iterator[R]:
    """One call after the other, in this process.

    >>> list(in_turn(abs, [-1, 2]))
    [1, 2]
    """
    return map(function, arguments)


@contextmanager
def calls_for(workers: int | None, most: int, threads: int = 1, *, here: bool = False) -> Iterator[tuple[Calls, int]]:
    """How a number of calls is placed, and how many run side by side.

    Args:
        workers: tasks of Ray at a time, on the cluster that RAY_ADDRESS names, all of whose machines must see the paths that
            calls are given, or on a Ray that is started here and stopped at the end of the block; 0: this process alone; None:
            where RAY_ADDRESS names a cluster as many as its machine that this process is on has room for, else this process.
        most: calls that there will be; a single one runs in this process.
        threads: CPUs that each task asks for, as far as there are so many.
        here: tasks stay on this machine whatever their number, since others do not see what they read and write.

    Raises:
        UserError: there is no cluster at RAY_ADDRESS.
    """
    on_cluster = os.environ.get("RAY_ADDRESS", "") not in ("", "local")
    if most < 2 or workers == 0 or (workers is None and not on_cluster):
        yield in_turn, 1
        return
    import ray

    from xlret.session import ray_session

    with ray_session(cpus=workers):
        node = None if workers and not here else ray.get_runtime_context().get_node_id()
        cpus = int(
            sum(
                machine.get("Resources", {}).get("CPU", 0)
                for machine in ray.nodes()
                if machine["Alive"] and node in (None, machine["NodeID"])
            )
        )
        if cpus < 1 and workers is None:  # a head that takes no tasks
            yield in_turn, 1
            return
        side_by_side = min(most, workers or max(1, cpus // threads))
        yield _tasks_of_ray(side_by_side, min(threads, max(1, cpus // side_by_side)), node), side_by_side


def _tasks_of_ray(side_by_side: int, cpus: int, node: str | None) -> Calls:
    """Tasks, on one machine where it is named."""
    import ray
    from ray.exceptions import RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    strategy = "DEFAULT" if node is None else NodeAffinitySchedulingStrategy(node, soft=False)

    def call(function: Callable[[A], R], arguments: Iterable[A]) -> Iterator[R]:
        task: Any = ray.remote(_called).options(num_cpus=cpus, scheduling_strategy=strategy)
        coming = enumerate(arguments)
        running: dict[Any, int] = {}
        results: dict[int, R] = {}
        next_result = 0
        try:
            while True:
                for number, argument in islice(coming, side_by_side - len(running)):
                    running[task.remote(function, argument)] = number
                while next_result in results:
                    yield results.pop(next_result)
                    next_result += 1
                if not running:
                    return
                for reference in ray.wait(list(running), num_returns=1)[0]:
                    try:
                        results[running.pop(reference)] = ray.get(reference)
                    except RayTaskError as error:
                        raise (error.cause if isinstance(error.cause, Exception) else error) from None
        finally:
            for reference in running:
                ray.cancel(reference)

    return call


def _called(function: Callable[[A], R], argument: A) -> R:
    """A plain function, as Ray wants one, for whatever can be called."""
    return function(argument)
