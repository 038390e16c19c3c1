"""Random numbers as pure functions of a key: the same (seed, step, row) gives the same numbers on every machine."""

import hashlib

import numpy as np


def key_of(*parts: int | str) -> int:
    """A 128-bit integer from any mix of integers and strings; different parts give unrelated keys.

    >>> key_of(1, "plan", 7) == key_of(1, "plan", 7), key_of(1, 2) == key_of(12)
    (True, False)
    """
    text = "\x1f".join(f"{type(part).__name__[0]}{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest(), "little")


def generator(*parts: int | str) -> np.random.Generator:
    """A counter-based generator (Philox) keyed by `parts`; costs about 10 microseconds to make.

    >>> int(generator(0, "dropout", 3).integers(1000)) == int(generator(0, "dropout", 3).integers(1000))
    True
    """
    return np.random.Generator(np.random.Philox(key=key_of(*parts)))
