"""What the processor of this machine can do."""

import platform
from functools import cache
from pathlib import Path
from typing import Literal

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
    """Whether this machine's CPUs multiply bfloat16 themselves; else float32 is several times as fast (docs/LOG.md)."""
    known = instructions()
    return platform.machine() == "arm64" if known is None else bool(known & _BFLOAT16)


Precision = Literal["float32", "bfloat16"]
PrecisionSetting = Literal["auto", "float32", "bfloat16"]


def resolved(precision: PrecisionSetting, *, gpu: bool) -> Precision:
    """What `auto` means here: bfloat16 on GPUs and on CPUs that compute it, else float32.

    >>> resolved("auto", gpu=True), resolved("float32", gpu=True)
    ('bfloat16', 'float32')
    """
    if precision != "auto":
        return precision
    return "bfloat16" if gpu or computes_bfloat16() else "float32"


def slow_bfloat16(precision: Precision, setting: str, *, gpu: bool) -> str | None:
    """A line for the user where a setting says bfloat16 and CPUs without instructions for it are to compute it."""
    if precision == "float32" or gpu or computes_bfloat16():
        return None
    return f"warning: {setting} is bfloat16, which this processor imitates, several times slower; set it to float32"
