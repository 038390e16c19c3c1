"""A Ray to run on: the cluster that a job was submitted to, or one started here and stopped again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from xlret.errors import UserError


@contextmanager
def ray_session(cpus: int | None = None, object_store_gb: float = 1.0) -> Iterator[None]:
    """Connects to the cluster named by RAY_ADDRESS (as `ray job submit` sets it), else starts a local Ray.

    A local Ray gets at least two CPUs' worth of slots, a bounded object store, and is stopped when the block ends, errors
    included. Worker logs stay in Ray's session directory; jobs show their own progress.

    Raises:
        UserError: RAY_ADDRESS is set and no cluster answers there.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "120")
    address = os.environ.get("RAY_ADDRESS")
    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level="warning")
        else:
            _start_local(max(2, cpus or os.cpu_count() or 2), int(object_store_gb * 2**30))
    except ConnectionError as error:
        raise UserError(f"no Ray cluster answers at RAY_ADDRESS={address}; start one (ray start --head) or unset it") from error
    try:
        yield
    finally:
        ray.shutdown()


def _start_local(cpus: int, object_store_bytes: int) -> None:
    """A Ray of our own. Its start has 30 seconds, fixed, which a machine busy with other work may miss: then once more."""
    for may_fail in (True, False):
        try:
            ray.init(
                address="local",
                num_cpus=cpus,
                object_store_memory=object_store_bytes,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="error",
            )
            return
        except Exception as error:  # Ray raises no narrower one here
            if not may_fail or "timed out during startup" not in str(error):
                raise
            ray.shutdown()
