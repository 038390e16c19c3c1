"""The parts of a bulk encoding, one after the other: in this process, or with workers of Ray (`workers.py`)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xlret.errors import UserError
from xlret.search.vectors.spool import texts_to_encode

if TYPE_CHECKING:
    from xlret.model.encoder import Encoder


@dataclass(frozen=True)
class EncoderWorkers:
    """How the work is shared out."""

    encoders: int
    """Actors, each with a copy of the encoder; 0: this process alone."""
    threads: int
    """Threads of torch in each of them."""
    tasks: int
    """Parts that are tokenised at the same time."""
    gpu: bool
    tokens_per_batch: int
    """Padded tokens that go through the encoder at once."""
    precision: Literal["float32", "bfloat16"]
    shared: bool = True
    """Whether all machines see the texts; else they are read on the one that the command runs on."""


class Part(NamedTuple):
    """A part that was laid aside."""

    number: int
    file: Path
    start: int
    """Passages before it."""


def loaded_here(directory: Path, gpu: bool) -> "Encoder":
    """The encoder in this process.

    Raises:
        UserError: it cannot be loaded, or there is no GPU and one is wanted.
    """
    import torch

    from xlret.model.encoder import Encoder

    if gpu and not torch.cuda.is_available():
        raise UserError("this machine has no GPU that torch can use; encode on CPUs (gpu: false)")
    encoder = Encoder.load(directory, device="cuda" if gpu else "cpu")
    if gpu and encoder.device.type == "cpu":
        raise UserError(f"{directory} is an exported encoder, which runs on CPUs; encode on those (gpu: false)")
    return encoder


def parts_encoded_here(
    parts: Sequence[Part], encoder: "Encoder", pool: EncoderWorkers
) -> Iterator[tuple[Part, NDArray[np.float32]]]:
    """The parts in their order, each with the vectors [U, D] of its U texts that did not come before; without Ray.

    Memory: one part. While the parts are taken, torch has as many threads as `pool` says.

    Args:
        parts: what to encode.
        encoder: on the device on which it is to run.
        pool: threads, precision and size of batches; the rest is Ray's.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(pool.threads)
    try:
        for part in parts:
            texts = texts_to_encode(part.file, part.start)
            yield (
                part,
                encoder.encode(texts, "passage", tokens_per_batch=pool.tokens_per_batch, precision=pool.precision),
            )
    finally:
        torch.set_num_threads(before)
