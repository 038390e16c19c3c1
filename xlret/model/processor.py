"""What the processor of this machine can do."""

import platform
from functools import cache
from pathlib import Path

_BFLOAT16 = {"amx_bf16", "avx512_bf16", "bf16", "sve_bf16"}


@cache
def instructions() -> frozenset[str] | None:
    """Names of sets of instructions, as Linux calls them (`avx512_vnni`, `amx_bf16`); None where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    flags = next((line.partition(":")[2] for line in lines if line.partition(":")[0].strip() in ("flags", "Features")), None)
    return None if flags is None else frozenset(flags.split())


def computes_bfloat16() -> bool:
    """Whether this machine's CPUs multiply bfloat16 themselves; else float32 is several times as fast (docs/RESULTS.md)."""
    known = instructions()
    return platform.machine() == "arm64" if known is None else bool(known & _BFLOAT16)
