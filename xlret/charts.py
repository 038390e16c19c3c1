"""Charts for the pages of reports: lines with bands and dots as numbers in pixels, which `chart.html` draws as inline SVG."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise
from typing import NamedTuple

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 64, WIDTH - 24, 20, HEIGHT - 52
COLOURS = ("#1d4ed8", "#b45309", "#047857", "#be123c", "#6d28d9", "#0e7490", "#4d7c0f", "#a21caf")
"""Of the series in their order, again from the first after the last. Dark enough to be read on white."""
_TICKS = 6
CHARACTER = 8.0
"""Pixels of a tick's character, about."""
_LONGEST_NAME = 13
"""Characters of a slanted tick's text."""
_MOST_DOTS = 40
"""Points of a line beyond which it has no dots."""


class Sample(NamedTuple):
    """A point of a series: a position, a value with the lowest and the highest around it, and what it is."""

    x: float
    y: float
    low: float
    high: float
    title: str


class Tick(NamedTuple):
    """A mark on an axis: where, in pixels, and its text."""

    position: float
    text: str


class Mark(NamedTuple):
    """A dot with a bar from the lowest to the highest value."""

    x: float
    y: float
    low: float
    high: float
    title: str


class Series(NamedTuple):
    """A line, the band around it and its dots."""

    label: str
    colour: str
    line: str
    """`x,y` of each point, as SVG has it; empty where there is one."""
    band: str
    """The same of the band's edge; empty where nothing is around the line."""
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Chart:
    """Series over one pair of axes."""

    title: str
    x_title: str
    y_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    series: tuple[Series, ...]
    slanted: bool = False
    """Whether the texts below the axis are too long to stand side by side."""


@dataclass(frozen=True)
class Scale:
    """Values of an axis to pixels. A range without extent lies in the middle."""

    first: float
    last: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """
        >>> Scale(0, 10, 100, 200)(5), Scale(1, 100, 0, 2, log=True)(10), Scale(3, 3, 0, 10)(3)
        (150.0, 1.0, 5.0)
        """
        if self.first == self.last:
            return round((self.start + self.end) / 2, 1)
        if self.log:
            share = math.log(value / self.first) / math.log(self.last / self.first)
        else:
            share = (value - self.first) / (self.last - self.first)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, *, percent: bool = False) -> tuple[Tick, ...]:
        """Round values (1, 2 or 5 times a power of ten apart), each with its text; even shares of a logarithmic axis.

        >>> [tick.text for tick in Scale(0.93, 1.31, 0, 10).ticks()]
        ['1', '1.1', '1.2', '1.3']
        """
        if self.first == self.last:
            values = [self.first]
        elif self.log:
            ratio = (self.last / self.first) ** (1 / (_TICKS - 2))
            values = [float(f"{self.first * ratio**number:.3g}") for number in range(_TICKS - 1)]
        else:
            step = round_step(self.first, self.last)
            numbers = range(math.ceil(self.first / step - 1e-9), math.floor(self.last / step + 1e-9) + 1)
            values = [number * step for number in numbers]
        return tuple(Tick(self(value), f"{100 * value:.4g}%" if percent else number_text(value)) for value in values)


def number_text(value: float) -> str:
    """
    >>> number_text(12000), number_text(0.1 + 0.2), number_text(1e-7)
    ('12,000', '0.3', '1e-07')
    """
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e9 else f"{value:.5g}"


def round_step(low: float, high: float) -> float:
    """The distance of marks that are round numbers, about five of them between two values.

    >>> round_step(0, 1), round_step(0, 700), round_step(2.31, 2.36)
    (0.2, 200.0, 0.01)
    """
    power = 10.0 ** math.floor(math.log10((high - low) / (_TICKS - 1)))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= (high - low) / (_TICKS - 1) * (1 - 1e-9))


def shortened(text: str, most: int) -> str:
    """
    >>> shortened("hybrid", 6), shortened("hybrid-0.3", 6)
    ('hybrid', 'hybri…')
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _side_by_side(ticks: Sequence[Tick]) -> bool:
    """Whether the texts of ticks from left to right, each in the middle of its position, neither touch nor are cut off."""
    edges = [(tick.position - half, tick.position + half) for tick in ticks for half in [len(tick.text) / 2 * CHARACTER]]
    return edges[0][0] >= 0 and edges[-1][1] <= WIDTH and all(a[1] + CHARACTER <= b[0] for a, b in pairwise(edges))


def points(values: Sequence[tuple[float, float]], x_title: str = "step") -> list[Sample]:
    """Samples of bare points (x, y); what is no finite number is left out."""
    return [Sample(x, y, y, y, f"{x_title} {x:,g}: {y:.4g}") for x, y in values if math.isfinite(y)]


def chart(
    title: str,
    x_title: str,
    y_title: str,
    series: Mapping[str, Sequence[Sample]],
    *,
    categories: Sequence[str] | None = None,
    joined: bool | Collection[str] = True,
    percent: bool = False,
    least: float | None = None,
    log: bool | None = None,
) -> Chart:
    """Axes that hold all samples, and every series in its colour.

    Args:
        title, x_title, y_title: what is drawn.
        series: label -> its samples; at least one sample in all. A series without any is left out.
        categories: names of the positions 0, 1, ... where they are no numbers; samples may lie a little beside them.
        joined: whether the samples of a series are joined by a line; or the labels of those that are.
        percent: whether y, 0 to 1, is written in percent.
        least: a value that the upright axis begins at or below.
        log: whether x is logarithmic; None: where it spans more than a factor of 50.

    >>> drawn = chart("loss", "step", "nats", {"all": points([(0, 2.0), (10, 1.0)])})
    >>> drawn.series[0].line, [tick.text for tick in drawn.y_ticks]
    ('72.0,20.0 608.0,248.0', ['1', '1.2', '1.4', '1.6', '1.8', '2'])
    """
    samples = [sample for each in series.values() for sample in each]
    xs = [sample.x for sample in samples]
    low, high = min(sample.low for sample in samples), max(sample.high for sample in samples)
    low = low if least is None else min(low, least)
    if log is None:
        log = categories is None and min(xs) > 0 and max(xs) / min(xs) > 50
    across = Scale(min(xs), max(xs), LEFT + 8, RIGHT - 8, log)
    if low < high:  # the axis begins and ends at a tick
        step = round_step(low, high)
        low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    upwards = Scale(low, high, BOTTOM, TOP)
    if categories is None:
        x_ticks = tuple(Tick(across(x), number_text(x)) for x in sorted(set(xs)))
        x_ticks = x_ticks if len(x_ticks) <= 12 and _side_by_side(x_ticks) else across.ticks()
    else:
        x_ticks = tuple(Tick(across(x), categories[x]) for x in sorted({round(x) for x in xs}))
    if slanted := not _side_by_side(x_ticks):
        x_ticks = tuple(Tick(tick.position, shortened(tick.text, _LONGEST_NAME)) for tick in x_ticks)
    drawn = [
        _series(label, colour, sorted(each), across, upwards, joined if isinstance(joined, bool) else label in joined)
        for (label, each), colour in zip(series.items(), cycle(COLOURS), strict=False)
        if each
    ]
    return Chart(title, x_title, y_title, x_ticks, upwards.ticks(percent=percent), tuple(drawn), slanted)


def _series(label: str, colour: str, samples: Sequence[Sample], across: Scale, upwards: Scale, joined: bool) -> Series:
    marks = tuple(
        Mark(across(sample.x), upwards(sample.y), upwards(sample.low), upwards(sample.high), sample.title) for sample in samples
    )
    if not joined or len(marks) < 2:
        return Series(label, colour, "", "", marks)
    line = " ".join(f"{mark.x},{mark.y}" for mark in marks)
    edge = [*((mark.x, mark.high) for mark in marks), *((mark.x, mark.low) for mark in reversed(marks))]
    band = " ".join(f"{x},{y}" for x, y in edge) if any(sample.low < sample.high for sample in samples) else ""
    return Series(label, colour, line, band, marks if len(marks) <= _MOST_DOTS else ())
