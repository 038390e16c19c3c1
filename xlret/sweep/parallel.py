"""Parallel coordinates: a line a configuration over an axis for each setting and each number that came of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from xlret.charts import BOTTOM, CHARACTER, LEFT, RIGHT, TOP, WIDTH, Scale, Tick, shortened

_LINE = 16
"""Pixels of a line: the text of a tick must not touch the next one's, and ends before the next axis."""


class Axis(NamedTuple):
    """One of the upright axes of parallel coordinates."""

    title: str
    x: float
    ticks: tuple[Tick, ...]


class Thread(NamedTuple):
    """A configuration's line over all axes: the better it is, the darker."""

    line: str
    lightness: int
    title: str


@dataclass(frozen=True)
class Parallel:
    """Parallel coordinates."""

    axes: tuple[Axis, ...]
    threads: tuple[Thread, ...]


def parallel(columns: Mapping[str, Sequence[float | str | None]], titles: Sequence[str]) -> Parallel:
    """Parallel coordinates of configurations, the best first.

    Args:
        columns: title of an axis -> a value for each configuration: all numbers, or texts (each has its height on the axis);
            None breaks the line.
        titles: of the configurations.
    """
    across = Scale(0, max(1, len(columns) - 1), LEFT, RIGHT - 40)
    heights: list[list[float | None]] = []
    axes = []
    for number, (title, values) in enumerate(columns.items()):
        known = [value for value in values if value is not None]
        if all(isinstance(value, int | float) for value in known) and known:
            numbers = [float(value) for value in known]
            log = min(numbers) > 0 and max(numbers) / min(numbers) > 50
            scale = Scale(min(numbers), max(numbers), BOTTOM, TOP, log)
            heights.append([None if value is None else scale(float(value)) for value in values])
            axes.append(Axis(title, across(number), scale.ticks()))
        else:
            names = sorted({str(value) for value in known})
            scale = Scale(0, max(0, len(names) - 1), BOTTOM, TOP)
            at = {name: scale(index) for index, name in enumerate(names)}
            room = (across(number + 1) if number + 1 < len(columns) else WIDTH) - across(number)
            most = int(room / CHARACTER) - 1
            heights.append([None if value is None else at[str(value)] for value in values])
            axes.append(Axis(title, across(number), tuple(_legible(Tick(at[name], shortened(name, most)) for name in names))))
    threads = []
    for row, title in enumerate(titles):
        points = [f"{axis.x},{column[row]}" for axis, column in zip(axes, heights, strict=True) if column[row] is not None]
        threads.append(Thread(" ".join(points), round(35 + 45 * row / max(1, len(titles) - 1)), title))
    return Parallel(tuple(axes), tuple(reversed(threads)))  # the best is drawn last, over the others


def _legible(ticks: Iterable[Tick]) -> Iterator[Tick]:
    """Those of ticks from the bottom up that are far enough from the one below."""
    below = float("inf")
    for tick in ticks:
        if below - tick.position >= _LINE:
            below = tick.position
            yield tick
