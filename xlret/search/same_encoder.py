"""Whether an encoder in memory is the one that an index was made with: it encodes some passages anew."""

from typing import TYPE_CHECKING

import numpy as np

from xlret.errors import UserError
from xlret.search.debias import read_component
from xlret.search.index import SearchIndex

if TYPE_CHECKING:
    from xlret.model.encoder import Encoder

_PASSAGES = 4
_LOOKED_AT = 64
_ALIKE = 0.98
"""Mean cosine with the stored vectors. bfloat16 and float16 lose some .001; another encoder, even one trained on from this, is
far below."""


def check_encodes_alike(index: SearchIndex, encoder: "Encoder") -> None:
    """Encodes a few short passages of an index and compares the vectors with those that it holds.

    Args:
        index: as opened.
        encoder: what its questions are to be encoded with.

    Raises:
        UserError: vectors of another length, or others than the index holds.

    Cost: four short texts through the encoder.
    """
    if encoder.dimension != index.manifest.dimension:
        raise UserError(
            f"the encoder makes vectors of {encoder.dimension} numbers, the index at {index.path} has vectors of "
            f"{index.manifest.dimension}; give the encoder that its passages were encoded with"
        )
    shard = next((shard for shard in index.shards if shard.entry.count), None)
    if shard is None:
        return
    spread = np.unique(np.linspace(0, shard.entry.count - 1, _LOOKED_AT).astype(np.int64)).tolist()
    short_first = sorted(zip(shard.passages(spread), spread, strict=True), key=lambda pair: len(pair[0].full_text))
    passages, rows = zip(*short_first[:_PASSAGES], strict=True)
    anew_ND = encoder.encode([passage.full_text for passage in passages], "passage")
    component = read_component(index.path, index.manifest)
    if component is not None:
        anew_ND = component.remove(anew_ND, [passage.lang for passage in passages], "passage")
    cosine = float(np.mean(np.sum(anew_ND * shard.vectors[list(rows)].astype(np.float32), axis=1)))
    if not cosine >= _ALIKE:
        raise UserError(
            f"the encoder is not the one that the index at {index.path} was made with ({index.manifest.encoder.get('path')}): "
            f"some of its passages, encoded anew, have a cosine of {cosine:.2f} with their vectors there; give that encoder"
        )
