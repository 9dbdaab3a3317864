"""A toy strategy that acts on final signals only: long while MACD is above its signal line, else flat.

    python -m ta_pipeline.reader.examples.moving_position --symbols NVDA --orders 10

It shows what to do with each event: no orders while indicators warm up, while a symbol is stale, or while Kafka is
away. No broker is called: an order is a line.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field

from ta_pipeline.errors import TaError
from ta_pipeline.local.stack import local_settings
from ta_pipeline.reader import (
    Disconnected,
    Heard,
    Item,
    Options,
    Reconnected,
    Signal,
    SignalReader,
    Stale,
    WarmedUp,
    WarmingUp,
)
from ta_pipeline.reader.examples.follow_signals import start_of
from ta_pipeline.reader.positions import Start


@dataclass
class MovingPosition:
    """Decides; pure. `take` gives the order that an item leads to, if any."""

    long: set[str] = field(default_factory=set)
    _cold: set[str] = field(default_factory=set)
    _stale: set[str] = field(default_factory=set)
    _is_away: bool = False

    def take(self, item: Item) -> str | None:
        """One item of the stream: an order, or None."""
        match item:
            case Signal(is_final=True, size="PT1S", standing="newest" | "settles"):
                return self._decide(item)
            case WarmingUp(symbol=symbol, size="PT1S"):
                self._cold.add(symbol)
            case WarmedUp(symbol=symbol, size="PT1S"):
                self._cold.discard(symbol)
            case Stale(symbol=symbol):
                self._stale.add(symbol)
            case Heard(symbol=symbol):
                self._stale.discard(symbol)
            case Disconnected():
                self._is_away = True
            case Reconnected():
                self._is_away = False
        return None

    def _decide(self, signal: Signal) -> str | None:
        if self._is_away or signal.symbol in self._cold | self._stale:
            return None
        if signal.macd is None or signal.macd.macd is None or signal.macd.signal is None:
            return None
        wants_long, is_long = signal.macd.macd > signal.macd.signal, signal.symbol in self.long
        if wants_long == is_long:
            return None
        (self.long.add if wants_long else self.long.discard)(signal.symbol)
        return f"{signal.end:%H:%M:%S} {'buy' if wants_long else 'sell'} {signal.symbol} at {signal.c}"


def trade(symbols: list[str], start: Start, orders: int | None, options: Options) -> list[str]:
    """Follow the stream until so many orders are out; None: until Ctrl-C.

    Raises:
        TaError: Kafka cannot be reached, or a setting is wrong.
    """
    strategy, given = MovingPosition(), []
    # Live signals are not acted on, so they are not read.
    settings = local_settings()
    with SignalReader(settings, symbols=symbols, start=start, live=False, bars=False, options=options) as reader:
        for item in reader:
            if (order := strategy.take(item)) is not None:
                given.append(order)
                sys.stdout.write(order + "\n")
                sys.stdout.flush()
            if len(given) == orders:
                break
    return given


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--symbols", default="", help="comma-separated; default: all")
    parser.add_argument("--since", type=start_of, default="latest", help="latest, earliest, or HH:MM in New York")
    parser.add_argument("--orders", type=int, help="stop after so many")
    parser.add_argument("--warm-up-bars", type=int, default=34, help="no orders before so many bars")
    chosen = parser.parse_args()
    symbols = [name for name in chosen.symbols.split(",") if name]
    try:
        trade(symbols, chosen.since, chosen.orders, Options(warm_up_bars=chosen.warm_up_bars))
    except TaError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
