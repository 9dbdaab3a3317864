"""A market in Alpaca's form, made up: what `ta feed --fakepaca` sends.

The same seed and arguments give the same messages at the same offsets. What a real tape has is in it: bursts at the
open and the close, spreads around a random walk, odd lots, trade conditions by tape, late reports, cancels and
corrections of earlier trades, a halt, a symbol that hardly trades, quotes that are one-sided, crossed or locked.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, count
from typing import Any, NamedTuple

from ta_pipeline.errors import SettingsError

TICKERS = (
    "AAPL", "MSFT", "NVDA", "AMZN", "META", "GOOGL", "TSLA", "AMD", "NFLX", "JPM", "XOM", "INTC", "BAC", "PFE", "KO",
    "DIS", "WMT", "CSCO", "ORCL", "UBER", "SPY", "QQQ", "IWM", "GE", "F", "T", "V", "MA", "CAT", "BA",
)  # fmt: skip
TRADE_SHARE = 0.2
QUIET_SECONDS = 20.0
_EXCHANGES = ("V", "Q", "P", "Z", "K", "D", "N", "J")
_TAPES = ("A", "C", "C", "B")
_LATE, _VERY_LATE, _CANCEL, _CORRECTION = 0.002, 0.0005, 0.001, 0.001
_ONE_SIDED, _CROSSED, _LOCKED = 0.001, 0.0005, 0.002
_BURST_SECONDS = 5.0
_VOLATILITY = (0.5e-4, 3e-4)  # per square root of a second, so that prices do not depend on --rate; 12 to 73 % a year


class Timed(NamedTuple):
    """A message without `t`, when it is sent, and how old it is then; seconds."""

    offset: float
    message: dict[str, Any]
    late: float = 0.0


@dataclass
class _Symbol:
    name: str
    tape: str
    price: float
    volatility: float
    spread_ticks: int
    weight: float
    walked_at: float = 0.0
    halted: bool = False
    open_since: float = -math.inf  # a late report does not speak of a trade in a halt
    trades: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=200))


@dataclass(frozen=True)
class Market:
    """The arguments of one simulated market.

    Args:
        symbols: number of symbols, 1 to 10,000; the last one is quiet when there are more than two.
        rate: messages a second on average, over all symbols.
        seconds: length; None: without end.
        seed: of the random numbers.
    """

    symbols: int = 10
    rate: float = 100.0
    seconds: float | None = 60.0
    seed: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.symbols <= 10_000:
            raise SettingsError(f"--symbols is {self.symbols}; allowed is 1 to 10000")
        if not 0 < self.rate <= 100_000:
            raise SettingsError(f"--rate is {self.rate:g}; allowed is above 0, up to 100000 messages a second")
        if self.seconds is not None and not self.seconds > 0:
            raise SettingsError(f"--seconds is {self.seconds:g}; it must be above 0")

    def names(self) -> list[str]:
        """The symbols: well-known tickers first, then made-up ones."""
        made_up = [f"{chr(65 + n // 676 % 26)}{chr(65 + n // 26 % 26)}{chr(65 + n % 26)}X" for n in range(self.symbols)]
        taken = set(TICKERS)
        names = [*TICKERS, *(name for name in made_up if name not in taken)][: self.symbols]
        return names + [f"Z{n:05d}" for n in range(self.symbols - len(names))]

    def messages(self) -> Iterator[Timed]:
        """Trades, quotes, cancels, corrections and status, in the order they are sent."""
        return _Simulation(self).run()


class _Simulation:
    def __init__(self, market: Market) -> None:
        self._market = market
        self._random = random.Random(market.seed)  # noqa: S311 - a simulation, repeatable on purpose
        self._symbols = [self._symbol(name, number) for number, name in enumerate(market.names())]
        self._quiet = self._symbols[-1] if len(self._symbols) > 2 else None
        self._busy = [symbol for symbol in self._symbols if symbol is not self._quiet]
        self._ids = count(1)
        self._open_for_trading()

    def _symbol(self, name: str, number: int) -> _Symbol:
        draw = self._random
        return _Symbol(
            name,
            draw.choice(_TAPES),
            round(math.exp(draw.uniform(math.log(8), math.log(600))), 2),
            draw.uniform(*_VOLATILITY),
            draw.choice((1, 1, 1, 2, 2, 3, 5)),
            1.0 / (1 + number) ** 0.5,
        )

    def run(self) -> Iterator[Timed]:
        market, draw = self._market, self._random
        halt = self._halt()
        next_quiet = draw.uniform(0.2, 0.5) * QUIET_SECONDS
        offset, mean = 0.0, self._mean_intensity()
        while True:
            offset += draw.expovariate(market.rate * self._intensity(offset) / mean)
            if market.seconds is not None and offset >= market.seconds:
                return
            yield from self._halts(halt, offset)
            if self._quiet is not None and offset >= next_quiet:
                next_quiet = offset + draw.uniform(0.75, 1.25) * QUIET_SECONDS
                self._walk(self._quiet, offset)
                yield self._quote(self._quiet, offset)
                yield self._trade(self._quiet, offset, late=0.0)
                continue
            (symbol,) = draw.choices(self._open, cum_weights=self._cumulative)
            yield self._event(symbol, offset)

    def _event(self, symbol: _Symbol, offset: float) -> Timed:
        draw = self._random
        self._walk(symbol, offset)
        if draw.random() >= TRADE_SHARE:
            return self._quote(symbol, offset)
        kind = draw.random()
        if symbol.trades and kind < _CANCEL:
            return self._cancel(symbol, offset)
        if symbol.trades and kind < _CANCEL + _CORRECTION:
            return self._correction(symbol, offset)
        if kind < _CANCEL + _CORRECTION + _LATE:
            return self._trade(symbol, offset, late=draw.uniform(2.5, 6.0))
        if kind < _CANCEL + _CORRECTION + _LATE + _VERY_LATE:
            return self._trade(symbol, offset, late=draw.uniform(9.0, 12.0))
        return self._trade(symbol, offset, late=0.0)

    def _walk(self, symbol: _Symbol, offset: float) -> None:
        deviation = symbol.volatility * math.sqrt(offset - symbol.walked_at)
        symbol.price = max(1.0, symbol.price * math.exp(deviation * self._random.gauss(0.0, 1.0)))
        symbol.walked_at = offset

    def _trade(self, symbol: _Symbol, offset: float, late: float) -> Timed:
        draw = self._random
        late = late if offset - late > symbol.open_since else 0.0
        bid, ask = self._sides(symbol)
        odd = draw.random() < 0.35
        size = draw.randint(1, 99) if odd else 100 * min(50, 1 + int(draw.expovariate(0.7)))
        conditions = ["@" if symbol.tape == "C" else " "]
        if odd:
            conditions.append("I")
        elif draw.random() < 0.02:
            conditions.append(draw.choice(("F", "F", "W" if symbol.tape == "C" else "B")))
        if late:
            conditions.append("Z")
        message = {
            "T": "t", "S": symbol.name, "i": next(self._ids), "x": draw.choice(_EXCHANGES),
            "p": ask if draw.random() < 0.5 else bid, "s": size, "c": conditions, "z": symbol.tape,
        }  # fmt: skip
        symbol.trades.append(message)
        return Timed(offset, message, late)

    def _quote(self, symbol: _Symbol, offset: float) -> Timed:
        draw = self._random
        bid, ask = self._sides(symbol)
        bid_size, ask_size = draw.randint(1, 40), draw.randint(1, 40)
        odd = draw.random()
        if odd < _ONE_SIDED / 2:
            ask, ask_size = 0.0, 0
        elif odd < _ONE_SIDED:
            bid, bid_size = 0.0, 0
        elif odd < _ONE_SIDED + _CROSSED:
            bid, ask = ask, bid
        elif odd < _ONE_SIDED + _CROSSED + _LOCKED:
            ask = bid
        return Timed(offset, {
            "T": "q", "S": symbol.name, "bx": draw.choice(_EXCHANGES), "bp": bid, "bs": bid_size,
            "ax": draw.choice(_EXCHANGES), "ap": ask, "as": ask_size, "c": ["R"], "z": symbol.tape,
        })  # fmt: skip

    def _cancel(self, symbol: _Symbol, offset: float) -> Timed:
        old = self._earlier(symbol)
        return Timed(offset, {
            "T": "x", "S": symbol.name, "i": old["i"], "x": old["x"], "p": old["p"], "s": old["s"], "a": "C",
            "z": symbol.tape,
        })  # fmt: skip

    def _correction(self, symbol: _Symbol, offset: float) -> Timed:
        old = self._earlier(symbol)
        return Timed(offset, {
            "T": "c", "S": symbol.name, "x": old["x"], "oi": old["i"], "op": old["p"], "os": old["s"], "oc": old["c"],
            "ci": next(self._ids), "cp": old["p"], "cs": old["s"] + 100, "cc": old["c"], "z": symbol.tape,
        })  # fmt: skip

    def _earlier(self, symbol: _Symbol) -> dict[str, Any]:
        found = self._random.choice(symbol.trades)
        symbol.trades.remove(found)
        return found

    def _sides(self, symbol: _Symbol) -> tuple[float, float]:
        bid = round(symbol.price - symbol.spread_ticks / 200, 2)
        return bid, round(bid + symbol.spread_ticks / 100, 2)

    def _halt(self) -> list[tuple[float, str]]:
        """When the second symbol is halted and when it trades again; nobody is in a market without an end."""
        if self._market.seconds is None or len(self._busy) < 2:
            return []
        return [(0.4 * self._market.seconds, "H"), (0.5 * self._market.seconds, "T")]

    def _halts(self, halt: list[tuple[float, str]], offset: float) -> Iterator[Timed]:
        while halt and offset >= halt[0][0]:
            _, code = halt.pop(0)
            symbol = self._busy[1]
            symbol.halted = code == "H"
            symbol.open_since = offset
            self._open_for_trading()
            text = "Trading Halt" if symbol.halted else "Trading Resumption"
            yield Timed(offset, {
                "T": "s", "S": symbol.name, "sc": code, "sm": text, "rc": "T12" if symbol.halted else "T3", "rm": "",
                "z": symbol.tape,
            })  # fmt: skip

    def _open_for_trading(self) -> None:
        self._open = [symbol for symbol in self._busy if not symbol.halted]
        self._cumulative = list(accumulate(symbol.weight for symbol in self._open))

    def _intensity(self, offset: float) -> float:
        """Relative rate: three times the usual at the open, twice at the close."""
        intensity = 1.0 + 2.0 * math.exp(-offset / _BURST_SECONDS)
        if self._market.seconds is not None:
            intensity += math.exp(-max(0.0, self._market.seconds - offset) / _BURST_SECONDS)
        return intensity

    def _mean_intensity(self) -> float:
        seconds = self._market.seconds
        if seconds is None:
            return 1.0
        return 1.0 + 3.0 * _BURST_SECONDS / seconds * (1.0 - math.exp(-seconds / _BURST_SECONDS))
