"""Print a line for each signal, and every event.

python -m ta_pipeline.reader.examples.follow_signals --symbols NVDA,AAPL --since 09:30
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from datetime import datetime

from ta_pipeline.errors import TaError
from ta_pipeline.local.stack import local_settings
from ta_pipeline.reader import Bar, Item, Signal, SignalReader
from ta_pipeline.reader.positions import Start
from ta_pipeline.sessions import NEW_YORK
from ta_pipeline.signals.outputs import MINUTE


def line_of(item: Item) -> str:
    """One line for a person."""
    match item:
        case Signal():
            name = "minute" if item.size == MINUTE else "final" if item.is_final else "live"
            kind = f"{name} {item.revision}"
            rsi = "-" if item.rsi14 is None else f"{item.rsi14:.1f}"
            return f"{item.end:%H:%M:%S} {item.symbol:<6} {kind:<9} {item.standing:<8} close {item.c} rsi {rsi}"
        case Bar():
            return f"{item.end:%H:%M:%S} {item.symbol:<6} bar {item.revision:<5} {item.standing:<8} {item.c} x {item.v}"
        case _:
            return f"!        {item}"


def follow(symbols: Sequence[str], start: Start, most: int | None = None) -> int:
    """Print until `most` lines are out, or until Ctrl-C; returns how many were.

    Raises:
        TaError: Kafka cannot be reached, or a setting is wrong.
    """
    lines = 0
    with SignalReader(local_settings(), symbols=symbols, start=start) as reader:
        signal.signal(signal.SIGINT, lambda *_: reader.stop())
        for item in reader:
            sys.stdout.write(line_of(item) + "\n")
            sys.stdout.flush()
            lines += 1
            if lines == most:
                break
    return lines


def start_of(text: str) -> Start:
    """`latest`, `earliest`, or a time of today in New York, as `09:30`; the reader refuses one that is to come."""
    if text == "earliest":
        return "earliest"
    if text == "latest":
        return "latest"
    at = datetime.strptime(text, "%H:%M").replace(tzinfo=NEW_YORK).timetz()
    return datetime.combine(datetime.now(NEW_YORK).date(), at)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--symbols", default="", help="comma-separated; default: all")
    parser.add_argument(
        "--since", type=start_of, default="latest", help="latest, earliest, or HH:MM in New York, of today and past"
    )
    parser.add_argument("--lines", type=int, help="stop after so many")
    chosen = parser.parse_args()
    try:
        follow([name for name in chosen.symbols.split(",") if name], chosen.since, chosen.lines)
    except TaError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
