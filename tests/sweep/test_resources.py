"""How many trials a cluster has room for, against a search over all ways to place them."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlret.errors import UserError
from xlret.sweep.resources import Needs, room_for, trial_needs, trials_at_once
from xlret.training.settings import TrainJob


def fits(nodes: list[int], processes: list[int]) -> bool:
    """Whether processes can be placed on nodes at all, by trying every way."""
    for homes in product(range(len(nodes)), repeat=len(processes)):
        loads = [sum(cpus for cpus, home in zip(processes, homes, strict=True) if home == node) for node in range(len(nodes))]
        if all(load <= node for load, node in zip(loads, nodes, strict=True)):
            return True
    return False


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 2), st.integers(1, 2))
def test_the_room_is_all_there_is_where_processes_are_alike(nodes: list[int], workers: int, cpus: int) -> None:
    needs = Needs({"CPU": 0.0}, ({"CPU": float(cpus)},) * workers)
    room = room_for([{"CPU": float(node)} for node in nodes], needs)
    assert fits(nodes, [cpus] * workers * room)
    if workers * (room + 1) <= 6:
        assert not fits(nodes, [cpus] * workers * (room + 1))


def test_gpus_and_memory_count_and_the_scarcest_decides() -> None:
    nodes = [{"CPU": 16.0, "GPU": 2.0, "memory": 64 * 2.0**30}, {"CPU": 16.0, "memory": 64 * 2.0**30}]
    run = TrainJob.model_validate({"name": "n", "corpora": ["c"], "ray": {"workers": 1, "gpu": True}})
    assert trials_at_once(nodes, [trial_needs(run)]) == 2
    on_cpus = TrainJob.model_validate({"name": "n", "corpora": ["c"], "ray": {"workers": 0, "threads_per_worker": 4}})
    assert trials_at_once(nodes, [trial_needs(on_cpus)]) == 8
    assert trials_at_once(nodes, [trial_needs(on_cpus), trial_needs(run)]) == 2, "whichever run together fit"
    assert trials_at_once(nodes, [trial_needs(on_cpus, memory_gb=30)]) == 4
    assert trials_at_once(nodes, [trial_needs(on_cpus)], most=3) == 3


@pytest.mark.parametrize(
    ("ray", "sentence"),
    [
        ({"workers": 0, "gpu": True}, "a trial needs 1 CPU, 1 GPU, which the cluster never has: its nodes have 2 CPUs"),
        ({"workers": 3, "cpus_per_worker": 0.5}, r"3 workers of 0\.75 CPUs each"),
    ],
)
def test_a_trial_that_can_never_run_is_refused(ray: dict[str, object], sentence: str) -> None:
    run = TrainJob.model_validate({"name": "n", "corpora": ["c"], "plan": {"batch_size": 6}, "ray": ray})
    with pytest.raises(UserError, match=sentence):
        trials_at_once([{"CPU": 2.0}], [trial_needs(run)])
