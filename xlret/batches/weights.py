"""What the loss of a row is multiplied by, by its languages."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def row_weights(query_langs: Sequence[str], passage_langs: Sequence[str], weights: Mapping[str, float]) -> NDArray[np.float32]:
    """The weight of each row: that of its pair, of its query language, of its passage language, or 1; the first there is.

    >>> row_weights(["de", "de", "fr", "fr"], ["en", "fr", "en", "fr"], {"de>en": 3.0, "de>*": 2.0, "*>en": 0.5}).tolist()
    [3.0, 2.0, 0.5, 1.0]
    """
    pairs = zip(query_langs, passage_langs, strict=True)
    keys = ((f"{query}>{passage}", f"{query}>*", f"*>{passage}") for query, passage in pairs)
    return np.array([next((weights[key] for key in row if key in weights), 1.0) for row in keys], dtype=np.float32)
