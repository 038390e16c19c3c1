"""A process of Ray's beside the workers of a run, which evaluates what the run keeps (`beside.py`).

It is an actor of the first worker, and not Ray Train's validation of checkpoints: that one (Ray 2.60) evaluates reported
checkpoints alone, of which step 0 has none; its controller fails with an evaluating process that cannot be started again; and
what waits for it stands in a list that our next start does not take up (`ray_run.py`).
"""

from typing import Any

import ray
from ray.exceptions import RayError

from xlret.training.beside import EvaluationLostError, KeptWeights, Metrics
from xlret.training.settings import TrainJob


class RayEvaluator:
    """An actor with the room of one more worker, anywhere (a `beside.Evaluator`); after one that was lost comes another."""

    def __init__(self, job: TrainJob) -> None:
        self._ray = job.ray
        self._process: Any = self._started()
        self._begun: Any = None
        self._metrics: Any = None

    def begin(self, kept: KeptWeights, best: float | None) -> None:
        if self._process is None:
            self._process = self._started()
        self._begun = self._process.begun.remote()
        self._metrics = self._process.evaluate.remote(kept, best)

    def has_begun(self) -> bool:
        return bool(ray.wait([self._begun], timeout=0)[0])

    def result(self, wait_s: float) -> Metrics | None:
        if not ray.wait([self._metrics], timeout=wait_s)[0]:
            return None
        try:
            metrics: Metrics = ray.get(self._metrics)
        except RayError as error:  # it raised, or died
            self.stop()
            raise EvaluationLostError(str(error).strip().splitlines()[-1]) from error
        return metrics

    def stop(self) -> None:
        if self._process is not None:
            ray.kill(self._process)
        self._process = None

    def _started(self) -> Any:
        return (
            ray.remote(_Process)
            .options(
                num_cpus=self._ray.cpus_per_worker,
                num_gpus=int(self._ray.gpu),
                scheduling_strategy="DEFAULT",  # outside of what is reserved for the workers
            )
            .remote()
        )


class _Process:
    def begun(self) -> None:
        """Answers as soon as it is there."""

    def evaluate(self, kept: KeptWeights, best: float | None) -> Metrics:
        return kept.evaluate(best)
