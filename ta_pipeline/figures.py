"""Numbers and times for a person at a terminal: short, and of a width that does not jump."""

from __future__ import annotations


def duration(ms: float | None) -> str:
    """Milliseconds: `45 ms`, `6.24 s`, `42.1 s`, `3.5 min`, `2.1 h`; `-` for None."""
    if ms is None:
        return "-"
    size = abs(ms)
    if size < 999.5:
        return f"{ms:.0f} ms"
    if size < 99_950:
        return f"{ms / 1_000:.2f} s" if size < 9_995 else f"{ms / 1_000:.1f} s"
    return f"{ms / 60_000:.1f} min" if size < 100 * 60_000 else f"{ms / 3_600_000:.1f} h"


def bare_seconds(ms: float) -> str:
    """An age: `0.1s`, `42s`, `3m`, `2h`, `5d`."""
    seconds = ms / 1_000
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    for limit, size, unit in ((99.5, 1, "s"), (99.5 * 60, 60, "m"), (48 * 3_600, 3_600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds / 86_400:.0f}d"


def compact(value: float) -> str:
    """A volume in at most six characters: `0.125`, `950`, `9,500`, `12.3k`, `4.6M`."""
    size = abs(value)
    if size < 10 and value != round(value):
        return f"{value:.3f}"
    if size < 9_999.5:
        return f"{value:,.0f}"
    for limit, unit, scale in ((999_950, "k", 1e3), (999_950_000, "M", 1e6)):
        if size < limit:
            return f"{value / scale:.1f}{unit}"
    return f"{value / 1e9:.1f}G"


def decimals(price: float) -> int:
    """Decimals that a price of this size is shown with; all prices of one symbol then have the same."""
    size = abs(price)
    for limit, digits in ((0.01, 6), (1.0, 4), (10_000.0, 2), (100_000.0, 1)):
        if size < limit:
            return digits
    return 0
