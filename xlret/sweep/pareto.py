"""Which configurations no other beats in both of two goals."""

from collections.abc import Sequence


def front(values: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the pairs that no other pair equals in both and exceeds in one (more is better), by falling first value.

    Of equal pairs all are kept.

    >>> front([(0.5, -30.0), (0.6, -40.0), (0.4, -35.0), (0.6, -50.0)])
    [1, 0]
    """
    kept: list[int] = []
    order = sorted(range(len(values)), key=lambda index: (-values[index][0], -values[index][1]))
    for index in order:
        first, second = values[index]
        if not kept or second > values[kept[-1]][1] or (first, second) == values[kept[-1]]:
            kept.append(index)
    return kept
