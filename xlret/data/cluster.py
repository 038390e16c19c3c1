"""Joining groups that answer each other's queries into clusters."""

import numpy as np

from xlret.shapes import IntArray


def joined(count: int, pairs: IntArray) -> IntArray:
    """The smallest number of the connected component of each number below `count`.

    Args:
        count: how many numbers there are.
        pairs: numbers that belong together, shape [P, 2].

    Returns:
        Shape [count]. Roots are hooked to smaller roots and paths halved until nothing changes
        (Shiloach and Vishkin 1982): O((count + P) log count), all in numpy.

    >>> joined(6, np.array([[4, 2], [5, 4], [0, 1]])).tolist()
    [0, 0, 2, 3, 2, 2]
    """
    root = np.arange(count, dtype=np.int64)
    left, right = pairs.reshape(-1, 2).T
    while True:
        of_left, of_right = root[left], root[right]
        apart = of_left != of_right
        if not apart.any():
            return root
        left, right = left[apart], right[apart]
        of_left, of_right = of_left[apart], of_right[apart]
        np.minimum.at(root, np.maximum(of_left, of_right), np.minimum(of_left, of_right))
        while (root != (above := root[root])).any():
            root = above
