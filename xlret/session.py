"""A Ray to run on: the cluster that a job was submitted to, or one started here and stopped again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray._private import ray_constants

from xlret.errors import UserError


@contextmanager
def ray_session(cpus: int | None = None, object_store_gb: float = 1.0, host: str | None = None) -> Iterator[None]:
    """Connects to the cluster named by RAY_ADDRESS (as `ray job submit` sets it), else starts a local Ray.

    A local Ray gets at least two CPUs' worth of slots, a bounded object store, and is stopped when the block ends, errors
    included. Worker logs stay in Ray's session directory; jobs show their own progress.

    Args:
        cpus: slots of a local Ray; those of the machine by default.
        object_store_gb: size of its object store.
        host: address of this machine that a local Ray's processes listen on; by default Ray chooses.

    Raises:
        UserError: RAY_ADDRESS is set and no cluster answers there.
    """
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level="warning")
        else:
            _start_local(max(2, cpus or os.cpu_count() or 2), int(object_store_gb * 2**30), host)
    except ConnectionError as error:
        raise UserError(f"no Ray cluster answers at RAY_ADDRESS={address}; start one (ray start --head) or unset it") from error
    try:
        yield
    finally:
        ray.shutdown()


def _start_local(cpus: int, object_store_bytes: int, host: str | None) -> None:
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
                **({} if host is None else {"_node_ip_address": _reached_at(host)}),
            )
            return
        except Exception as error:  # Ray raises no narrower one here
            if not may_fail or "timed out during startup" not in str(error):
                raise
            ray.shutdown()


def _reached_at(host: str) -> str:
    """The address for a local Ray. It takes the loopback address for a wish to be reached from elsewhere, except where it
    thinks that there are no clusters; that is the switch for it, in this process and in those that it starts."""
    if host in ("127.0.0.1", "localhost"):
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        ray_constants.ENABLE_RAY_CLUSTER = False
    return host
