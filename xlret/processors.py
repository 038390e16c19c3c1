"""How many threads a training in this process takes, where Ray does not say."""

import os


def usable_threads() -> int:
    """`OMP_NUM_THREADS` where it is set, else one for each processor.

    Only those processors count that the process may run on (`taskset`, a container's set). Two trainings that each take all
    processors of a machine are many times slower than on one each, as threads that wait for each other spin (docs/LOG.md):
    give each its own, by either.

    >>> usable_threads() >= 1
    True
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # OpenMP allows a list, one number a level
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
