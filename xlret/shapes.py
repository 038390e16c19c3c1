"""What the letters at the end of array names mean, and the array types that many rooms share.

`scores_QN` holds a number for each query (Q) and passage (N); letters are in the order of the axes. One letter may be given
another meaning where a function's docstring says so.

| letter | axis |
|---|---|
| B | rows of a batch (pairs, or texts encoded together) |
| Q | queries |
| N | items in general: passages, rows, samples |
| M | items of the other side, where N is taken |
| T | tokens of a text, padding included |
| D | numbers of a vector |
| H | hard negatives of a row |
| K | hits, neighbours or candidates kept |
| L | languages |
| S | shards |
| U | distinct items, each once |
| V | pieces of the vocabulary |
| W | workers |
"""

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
FloatMatrix = NDArray[np.float32]
