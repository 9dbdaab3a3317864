"""The examples of the reader run as they are shown, on the stack."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import orjson
import pandas as pd
import pytest

from ta_pipeline.clickhouse import DATABASE, client_of, insert_rows
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.reader.research import UNKNOWN_AS_OF, bars_between, signals_between
from ta_pipeline.settings import Settings
from tests.output_records import bar, live, signal
from tests.stack import RunningStack, variables_of

UP, DOWN = {"macd": 0.2, "signal": 0.1, "hist": 0.1}, {"macd": 0.1, "signal": 0.2, "hist": -0.1}


def example(settings: Settings, name: str, *arguments: str) -> list[str]:
    """The lines that an example prints."""
    done = subprocess.run(
        [sys.executable, "-m", f"ta_pipeline.reader.examples.{name}", *arguments],
        cwd=REPOSITORY, env={**os.environ, **variables_of(settings)}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def written(stack: RunningStack, topic: str, *records: dict[str, Any]) -> None:
    stack.produce(topic, [(record["symbol"], orjson.dumps(record)) for record in records])


def test_signals_are_followed_and_a_toy_strategy_orders_on_finals(stack: RunningStack) -> None:
    settings = stack.own_settings()
    t = int(time.time()) * 1_000
    written(stack, settings.live_topic, live("NVDA", t + 3_000, 1.5, 3))
    written(stack, settings.bars_topic, bar("NVDA", t))
    finals = [signal("NVDA", t + 1_000 * n, 2.0 + n, macd=macd) for n, macd in enumerate((UP, UP, DOWN))]
    written(stack, settings.signals_topic, *finals)
    since = ("--symbols", "NVDA", "--since", "earliest")
    lines = example(settings, "follow_signals", *since, "--lines", "5")
    assert sum(" final 0 " in line for line in lines) == 3
    assert sum(line.startswith(f"{at(t + 3_000):%H:%M:%S} NVDA   live 3") for line in lines) == 1
    assert sum(line.startswith(f"{at(t):%H:%M:%S} NVDA   bar 0") for line in lines) == 1
    orders = example(settings, "moving_position", *since, "--orders", "2")
    assert [line.split()[1:] for line in orders] == [["buy", "NVDA", "at", "2.0"], ["sell", "NVDA", "at", "4.0"]]


def test_a_day_is_researched_in_pandas(stack: RunningStack, own: str) -> None:
    t = int(time.time() - 600) * 1_000
    in_tables(stack, DATABASE, own, [(t + 1_000 * second, 0, 20.0 if second == 3 else 50.0) for second in range(10)])
    (header, line) = example(stack.settings, "research_day", own)
    assert header.split() == ["bars", "volume", "oversold", "return", "after"]
    assert line.split()[:4] == [own, "10", "1000.0", "1"]


def test_frames_have_the_newest_revision_of_each_window_by_symbol_and_time(stack: RunningStack, own: str) -> None:
    t = int(time.time() - 600) * 1_000
    in_tables(stack, DATABASE, own, [(t, 0, 50.0), (t + 1_000, 0, 51.0)])
    before = datetime.now(UTC)
    time.sleep(0.05)
    in_tables(stack, DATABASE, own, [(t, 1, 60.0)])
    start, end = at(t), at(t + 1_001)
    many = [own, *(f"SYMBOL{number}" for number in range(1_000))]  # more than one question has room for
    signals = signals_between(stack.settings, many, start, end)
    assert list(signals.index) == [(own, pd.Timestamp(at(t))), (own, pd.Timestamp(at(t + 1_000)))]
    assert signals.index.names == ["symbol", "event_ts"]
    assert str(signals.index.get_level_values("event_ts").dtype) == "datetime64[ms, UTC]"
    assert list(signals["rsi14"]) == [60.0, 51.0]
    assert list(signals["revision"]) == [1, 0]
    assert signals["macd"].isna().all()
    with closing(client_of(stack.settings)) as client:
        bars = bars_between(client, [own], start, at(t + 1_000))
        assert list(bars["c"]) == [60.0]
        known = bars_between(client, [own], start, end, as_of=before)
    # The replaced revision is there for as long as ClickHouse has not merged it away.
    assert len(known) + known.attrs[UNKNOWN_AS_OF] == 2
    assert set(known["c"]) <= {50.0, 51.0}


def test_a_range_without_rows_is_an_empty_frame_of_the_same_columns(stack: RunningStack, own: str) -> None:
    t = int(time.time() - 600) * 1_000
    in_tables(stack, DATABASE, own, [(t, 0, 50.0)])
    full = signals_between(stack.settings, [own], at(t), at(t + 1))
    empty = signals_between(stack.settings, [own], at(t - 2), at(t - 1))
    assert empty.empty
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()
    assert list(empty.columns) == list(full.columns)
    assert empty.index.names == full.index.names
    assert signals_between(stack.settings, [own], at(t), at(t + 1), size="PT1M").empty


@pytest.fixture
def own() -> str:
    """A symbol of the test's own: the tables are shared."""
    return f"T{uuid.uuid4().hex[:8].upper()}"


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1_000, UTC)


def in_tables(stack: RunningStack, database: str, symbol: str, rows: list[tuple[int, int, float]]) -> None:
    """Bars and signals of a symbol: end of the window, revision, and the value of close and RSI."""
    now = datetime.now(UTC)
    both = ("symbol", "event_ts", "seq", "revision", "source", "last_event_ts", "ingest_ts", "c")
    bars, signals = [], []
    for ms, revision, value in rows:
        shared = [symbol, at(ms), ms // 1_000, revision, "ta", at(ms), now, value]
        bars.append([*shared, value, value, value, 100.0, 4])
        signals.append([*shared, "PT1S", 40, value, 300, 60])
    more = ("window_size", "bars", "rsi14", "vwap_window_s", "vol_window_s")
    with closing(client_of(stack.settings)) as client:
        insert_rows(stack.settings, client, f"{database}.ta_microbars", (*both, "o", "h", "l", "v", "count"), bars)
        insert_rows(stack.settings, client, f"{database}.ta_signals", (*both, *more), signals)
