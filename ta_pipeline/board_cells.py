"""The columns of the board: what each shows on the live, the final and the 1-minute line of a symbol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.text import Text

from ta_pipeline.board import WARM_BARS, Shown, SymbolState
from ta_pipeline.figures import bare_seconds, compact, decimals

STALE_MS, LOST_MS = 5_000, 30_000
OVERBOUGHT, OVERSOLD = 70.0, 30.0
WARMING = "◔◑◕"
_TREND = "▁▂▃▄▅▆▇█"
_NOTHING = Text("·", "dim")
_FLAT_TICKS = 8
"""A trend shorter than so many ticks does not fill the height of its line."""

Line = Literal["live", "final", "minute"]
Cell = Callable[[SymbolState, Line], Text]

_NAMES: dict[Line, tuple[str, str]] = {
    "live": ("live", "bold cyan"), "final": ("final", "magenta"), "minute": ("1 min", "blue"),
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column; `keep`: the lower, the longer it stays when the terminal is narrow."""

    group: str
    name: str
    keep: int
    cell: Cell
    left: bool = False


def columns(now_ms: int, states: Iterable[SymbolState]) -> list[Column]:
    """All columns, left to right; prices of bars are set as wide as the widest of `states`."""
    widths = (len(price) for state in states for price in _bar_prices(state))
    each = max(widths, default=6)
    return [
        Column("SYMBOL", "lag", 0, _symbol(now_ms), left=True),
        Column("", "", 1, _path, left=True),
        Column("PRICE", "close", 2, _price),
        Column("TREND", " ".join(f"{name:>{each}}" for name in ("open", "high", "low")), 6, _bar(each), left=True),
        Column("TREND", "volume", 8, _volume),
        Column("EMA", "12", 9, _number("ema", "ema12")),
        Column("EMA", "26", 10, _number("ema", "ema26")),
        Column("MACD", "macd", 11, _difference("macd")),
        Column("MACD", "hist", 4, _difference("hist")),
        Column("RSI", "14", 3, _rsi),
        Column("BANDS", "lower", 12, _band("lower")),
        Column("BANDS", "mid", 17, _number("boll", "mid")),
        Column("BANDS", "upper", 13, _band("upper")),
        Column("VWAP", "sess", 7, _number("vwap", "session")),
        Column("VWAP", "roll", 15, _number("vwap", "w5m")),
        Column("VOL", "bp", 14, _volatility),
        Column("QUOTE", "spread", 5, _spread),
        Column("QUOTE", "imb", 5, _imbalance),
    ]


def trend(closes: Sequence[float]) -> Text:
    """A line of bars, lowest to highest close; coloured by where it went."""
    if len(closes) < 2:
        return Text("")
    low, high = min(closes), max(closes)
    span = max(high - low, _FLAT_TICKS * 10.0 ** -decimals(high))
    scale = (len(_TREND) - 1) / span
    bars = "".join(_TREND[round((close - low) * scale)] for close in closes)
    colour, _ = _direction(closes[-1], closes[0])
    return Text(bars, f"dim {colour}".strip())


def age_style(age_ms: int) -> str:
    """How the age of live data is drawn."""
    if age_ms < STALE_MS:
        return "dim"
    return "yellow" if age_ms < LOST_MS else "red"


def _symbol(now_ms: int) -> Cell:
    def cell(state: SymbolState, line: Line) -> Text:
        if line == "live":
            mark = "" if state.is_warm else " " + WARMING[(state.bars or 0) * len(WARMING) // WARM_BARS]
            return Text.assemble((state.symbol, "bold"), (mark, "yellow"))
        if line == "final":
            age_ms = now_ms - state.newest_event_ms
            return Text(bare_seconds(age_ms), age_style(age_ms))
        return Text("")

    return cell


def _path(state: SymbolState, line: Line) -> Text:
    shown = _shown(state, line)
    name, style = _NAMES[line]
    text = Text(name, style if shown else "dim")
    if shown is None:
        return text
    revision = shown.head.revision
    if line == "live":
        text.append(f" {revision}" if revision < 100 else " 99+", "dim not bold")
    elif revision:
        text.append(f" r{revision}", "yellow")
    return text


def _price(state: SymbolState, line: Line) -> Text:
    shown = _shown(state, line)
    if shown is None or shown.close is None:
        return _NOTHING
    before = None if line == "minute" else state.previous_close(shown)
    colour, mark = _direction(shown.close, before)
    weight = "bold" if line == "live" else _style(line)
    return Text(f"{mark}{shown.close:.{decimals(shown.close)}f}", f"{weight} {colour}".strip())


def _direction(close: float, before: float | None) -> tuple[str, str]:
    if before is None or close == before:
        return "", " "
    return ("green", "▲") if close > before else ("red", "▼")


def _bar_prices(state: SymbolState) -> list[str]:
    if state.bar is None:
        return []
    prices = [state.bar.record.get(name) for name in "ohl"]
    return ["·" if price is None else f"{price:.{decimals(price)}f}" for price in prices]


def _bar(each: int) -> Cell:
    def cell(state: SymbolState, line: Line) -> Text:
        if line == "live":
            return trend(state.closes[-(3 * each + 2) :])
        if line == "minute":
            return Text("")
        return Text(" ".join(f"{price:>{each}}" for price in _bar_prices(state)))

    return cell


def _volume(state: SymbolState, line: Line) -> Text:
    if line != "final" or state.bar is None or state.bar.record.get("v") is None:
        return Text("")
    return Text(compact(state.bar.record["v"]), "yellow" if state.bar.head.revision else "")


def _number(group: str, name: str) -> Cell:
    def cell(state: SymbolState, line: Line) -> Text:
        value = _value(state, line, group, name)
        return _NOTHING if value is None else Text(f"{value:.{_digits(state, line)}f}", _style(line, state, group))

    return cell


def _difference(name: str) -> Cell:
    def cell(state: SymbolState, line: Line) -> Text:
        value = _value(state, line, "macd", name)
        if value is None:
            return _NOTHING
        text = f"{value:+.{_digits(state, line) + 1}f}"
        colour = _sign_colour(text) if name == "hist" else ""
        return Text(text, f"{_style(line, state, 'macd')} {colour}".strip())

    return cell


def _band(name: str) -> Cell:
    def cell(state: SymbolState, line: Line) -> Text:
        value, shown = _value(state, line, "boll", name), _shown(state, line)
        if value is None or shown is None or shown.close is None:
            return _NOTHING
        outside = shown.close > value if name == "upper" else shown.close < value
        return Text(f"{value:.{_digits(state, line)}f}", "yellow" if outside else _style(line))

    return cell


def _rsi(state: SymbolState, line: Line) -> Text:
    shown = _shown(state, line)
    value = shown.record.get("rsi14") if shown else None
    if value is None:
        return _NOTHING
    return Text(f"{value:.1f}", "yellow" if value >= OVERBOUGHT or value <= OVERSOLD else _style(line))


def _volatility(state: SymbolState, line: Line) -> Text:
    value = _value(state, line, "vol_realized", "w30m" if line == "minute" else "w60s")
    return _NOTHING if value is None else Text(f"{value * 10_000:.1f}", _style(line))


def _spread(state: SymbolState, line: Line) -> Text:
    value = _value(state, line, "imbalance", "spread")
    return _NOTHING if value is None else Text(f"{value:.{max(2, _digits(state, line))}f}", _style(line))


def _imbalance(state: SymbolState, line: Line) -> Text:
    value = _value(state, line, "imbalance", "imbalance")
    if value is None:
        return _NOTHING
    text = f"{value:+.2f}"
    return Text(text, _sign_colour(text))


def _shown(state: SymbolState, line: Line) -> Shown | None:
    return {"live": state.live, "final": state.final, "minute": state.minute}[line]


def _value(state: SymbolState, line: Line, group: str, name: str) -> float | None:
    shown = _shown(state, line)
    values = shown.record.get(group) if shown else None
    value: float | None = values.get(name) if values else None
    return value


def _digits(state: SymbolState, line: Line) -> int:
    shown = _shown(state, line)
    return 2 if shown is None or shown.close is None else decimals(shown.close)


def _style(line: Line, state: SymbolState | None = None, group: str = "") -> str:
    if line == "minute":
        return "blue"
    return "dim" if state is not None and group in {"ema", "macd"} and not state.is_warm else ""


def _sign_colour(text: str) -> str:
    if not text.strip("+-0."):
        return ""
    return "red" if text.startswith("-") else "green"
