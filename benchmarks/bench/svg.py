"""Curves as SVG, written by hand: points and lines over a logarithmic x axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

from bench.course import Chart

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 80, 180, 50, 60
COLOURS = ("#1b6ca8", "#c8553d", "#2a9d4a", "#8a4fbf", "#b8860b", "#555555")
Scale = Callable[[float], float]


def draw(chart: Chart) -> str:
    """The picture as a document."""
    points = [point for series in chart.series.values() for point in series]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x = _scale(xs, LEFT, WIDTH - RIGHT, log=True)
    bounds = _bounds(ys, log=chart.log_y)
    y = _scale(bounds, HEIGHT - BOTTOM, TOP, log=chart.log_y)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
            f' width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 24, chart.title, size=15),
        *_axes(chart, sorted(set(xs)), _ticks(bounds, log=chart.log_y), x, y),
        *(
            part
            for number, (name, series) in enumerate(chart.series.items())
            for part in _series(number, name, sorted(series), x, y)
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _axes(
    chart: Chart, xs: Sequence[float], ys: Sequence[float], x: Scale, y: Scale
) -> Iterable[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for value in ys:
        yield _line(LEFT, y(value), right, y(value), "#dddddd")
        yield _text(LEFT - 8, y(value) + 4, _plain(value), anchor="end")
    last = -math.inf
    for value in xs:
        yield _line(x(value), bottom, x(value), bottom + 5, "#333333")
        if x(value) - last >= 30:  # two numbers may not touch
            yield _text(x(value), bottom + 20, _plain(value), anchor="middle")
            last = x(value)
    yield _line(LEFT, bottom, right, bottom, "#333333")
    yield _line(LEFT, TOP, LEFT, bottom, "#333333")
    yield _text((LEFT + right) / 2, HEIGHT - 16, chart.x, anchor="middle")
    middle = (TOP + bottom) / 2
    turn = f' transform="rotate(-90 20 {middle:.0f})"'
    yield _text(20, middle, chart.y, anchor="middle", more=turn)


def _series(
    number: int, name: str, series: Sequence[tuple[float, float]], x: Scale, y: Scale
) -> Iterable[str]:
    colour = COLOURS[number % len(COLOURS)]
    places = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in series)
    yield f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for a, b in series:
        yield f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3.5" fill="{colour}"/>'
    beside, height = WIDTH - RIGHT + 16, TOP + 10 + 20 * number
    yield _line(beside, height - 4, beside + 18, height - 4, colour, width=3)
    yield _text(beside + 24, height, name)


def _bounds(values: Sequence[float], *, log: bool) -> tuple[float, float]:
    if not log:
        return 0.0, _nice(max(values) * 1.05)
    positive = [value for value in values if value > 0]
    return (
        10 ** math.floor(math.log10(min(positive))),
        10 ** math.ceil(math.log10(max(positive) * 1.0001)),
    )


def _nice(value: float) -> float:
    step: float = 10.0 ** math.floor(math.log10(value or 1.0))
    return next(step * n for n in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * n >= value)


def _ticks(bounds: tuple[float, float], *, log: bool) -> list[float]:
    low, high = bounds
    if log:
        return [10.0**n for n in range(round(math.log10(low)), round(math.log10(high)) + 1)]
    return [high * n / 5 for n in range(6)]


def _scale(values: Sequence[float], start: float, end: float, *, log: bool) -> Scale:
    low, high = min(values), max(values)

    def place(value: float) -> float:
        if not log:
            return start + (end - start) * (value - low) / ((high - low) or 1.0)
        span = math.log(high / low) or 1.0
        return start + (end - start) * math.log(max(value, low) / low) / span

    return place


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: int = 1) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"'
        f' stroke-width="{width}"/>'
    )


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, more: str = ""
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="#222222"'
        f"{more}>{escape(text)}</text>"
    )
