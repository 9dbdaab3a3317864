"""`ta watch`: the signals as they come, live and final side by side, in the terminal."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Self

from rich.console import Console
from rich.live import Live

from ta_pipeline.board import Board
from ta_pipeline.board_view import render
from ta_pipeline.breakers import waiting
from ta_pipeline.decode import OutputDecoder
from ta_pipeline.errors import BadRecordError, FlinkError
from ta_pipeline.readers import Arrival, Arrivals, final_reader, live_reader
from ta_pipeline.settings import Settings

REFRESH_SECONDS = 0.25
TABLES_SECONDS = 3.0
"""How often Flink is asked whether the table job waits for ClickHouse; it answers with figures of up to 2 s ago."""
PLAIN_REFRESH_SECONDS = 10.0
"""Where the console is not a terminal (a log file), the picture is printed this often."""

__all__ = ["Board", "render", "watch"]


def watch(
    settings: Settings,
    *,
    seconds: float | None = None,
    stop: threading.Event | None = None,
    console: Console,
    symbols: Sequence[str] | None = None,
) -> Board:
    """Draw what comes from now on, for `seconds` (None: no limit) or until `stop`; returns what was seen.

    Args:
        settings: which topics, and how to reach them.
        seconds: how long.
        stop: set it from another thread to end earlier.
        console: where to draw.
        symbols: show only these; None or empty: all that come.

    Raises:
        KafkaSetupError: a topic does not exist, or the broker cannot be reached or refuses.
        SchemaError: Avro output, and the registry does not answer.
    """
    stop = stop or threading.Event()
    final_topics = [topic for topic in settings.output_topics if topic != settings.live_topic]
    with (
        OutputDecoder(settings) as decoder,
        Arrivals([final_reader(settings, final_topics), live_reader(settings)]) as arrivals,
    ):
        board = Board(_now_ms(), symbols or (), settings.kafka_bootstrap)
        begin = time.monotonic()
        ended = threading.Event()
        if settings.clickhouse_url:
            threading.Thread(target=_watch_tables, args=(settings, board, ended), name="tables", daemon=True).start()
        with _Picture(board, console) as picture, _set_at_exit(ended):
            while not stop.is_set() and (seconds is None or time.monotonic() - begin < seconds):
                next_draw = time.monotonic() + REFRESH_SECONDS
                while (left := next_draw - time.monotonic()) > 0 and not stop.is_set():
                    take(board, decoder, arrivals.take(left))
                board.trouble = arrivals.trouble
                picture.draw()
    return board


def _watch_tables(settings: Settings, board: Board, ended: threading.Event) -> None:
    """Keep `board.tables` up to date; what Flink does not tell is not shown."""
    while not ended.wait(TABLES_SECONDS):
        with contextlib.suppress(FlinkError):
            board.tables = waiting(settings, _now_ms())


@contextlib.contextmanager
def _set_at_exit(event: threading.Event) -> Iterator[None]:
    try:
        yield
    finally:
        event.set()


def take(board: Board, decoder: OutputDecoder, arrivals: Sequence[Arrival]) -> None:
    """Decode and take in what came; what cannot be read is counted by its reason."""
    for arrival in arrivals:
        try:
            board.take(*decoder.decode(arrival.topic, arrival.value), arrival.now_ms)
        except BadRecordError as error:
            board.undecodable[error.reason] += 1


class _Picture:
    """Draws the board: in place on a terminal, else now and then, one below the other."""

    def __init__(self, board: Board, console: Console) -> None:
        self._board = board
        self._console = console
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
        self._drawn_at = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
            self.draw()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self.draw()
            self._live.stop()
        else:
            self._print()

    def draw(self) -> None:
        """Draw what the board says now."""
        if self._console.is_terminal:
            self._board.tick(_now_ms())
            self._live.update(render(self._board, self._console.width, self._console.height), refresh=True)
        elif time.monotonic() - self._drawn_at >= PLAIN_REFRESH_SECONDS:
            self._print()

    def _print(self) -> None:
        self._drawn_at = time.monotonic()
        self._board.tick(_now_ms())
        self._console.print(render(self._board, self._console.width))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
