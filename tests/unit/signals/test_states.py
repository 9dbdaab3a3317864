"""The layouts of the states, as bytes that a running job may have saved.

When a test here fails, state of the job before cannot be read as it was: raise the version where it is declared, add
to its `UPGRADES` what makes the new one of the old one, and take the new bytes over.
"""

from __future__ import annotations

from array import array
from typing import get_args

import pytest

from ta_pipeline.errors import StateVersionError
from ta_pipeline.indicators import set as indicator_set
from ta_pipeline.indicators.set import IndicatorSet, Timeframe, part_versions
from ta_pipeline.sessions import Sessions
from ta_pipeline.signals import states
from ta_pipeline.signals.held import Held, Waiting
from ta_pipeline.signals.layouts import Upgrades, unpack
from ta_pipeline.signals.second import Second
from ta_pipeline.signals.states import STATES
from tests.unit.signals.bench import Bench, bar, late, minute, quote

START_MS = 1_784_642_400_000
SYMBOL = (
    b"[1,1784644201000,[[1784644201000,9.9,3,10.1,1,1784644200990]],[1784644260000,10.5,10.5,10.5,10.5,100.0,9,null],0]"
)
SECOND = (
    b'2[1784642401000,10.0,11.0,9.5,10.5,150.0,2,1550.0,150.0,1784642400900,"sip","V|1|0|10.0|100.0;V|2|0|11.0|50.0",1]'
)
HELD = (
    b'2[1784644205999,4,1003,1,1784644206000,"T","AAA",1784644201000,null,null,null,12.0,10,null,null,null,'
    b'1784644200900,null,null,null,null,null,"V|3|0|12.0|10",0,0,1,1784644205999,"trades",0,1003,"sip","t",null,null]'
)
INDICATORS = [
    2, 1_000, 3, 1_784_642_403_000,                                            # layout, timeframe, bars, newest end
    1, 10.20710059, 10.10562414, 0.03305882257, 1, 2, 10.5, 1, 0.5, 1, 3,      # MACD, RSI, Bollinger
    1, 1_784_640_600_000, 3_150, 300, 1, 3, 1, 10.5, 3,                        # session and rolling VWAP, volatility
    10, 11, 10.5, 1_784_642_401_000, 1_784_642_402_000, 1_784_642_403_000, 1_000, 1_100, 1_050, 100, 100, 100,
    1_784_642_401_000, 1_784_642_402_000, 1_784_642_403_000, 0, 0.0953101798, -0.04652001563,
]  # fmt: skip


def test_the_states_have_the_names_and_versions_that_savepoints_have() -> None:
    assert [(state.name, state.version, state.loads) for state in STATES] == [
        ("symbol", 1, ()), ("indicators_1s", 2, ()), ("indicators_1m", 2, ()), ("seconds", 2, (1,)), ("held", 2, (1,)),
    ]  # fmt: skip
    parts = ["Macd", "Rsi", "Bollinger", "SessionVwap", "RollingVwap", "RealizedVol"]
    assert states.INDICATORS_1S.parts == dict.fromkeys(parts, 1)
    assert states.INDICATORS_1M.parts == dict.fromkeys([*parts, "RealizedVolBars"], 1)


def test_the_symbol_has_the_layout_of_its_version() -> None:
    bench = Bench()
    bench.give(0, bar(0, (1, 10.0, 100)), quote(0, 9.9, 10.1))
    bench.give(60, minute(0, 10.5))
    assert bench.engine.symbol_state() == SYMBOL
    loaded = Bench().engine
    loaded.load(SYMBOL, None, None, [SECOND], [HELD])
    assert loaded.symbol_state() == SYMBOL


def test_a_second_has_the_layout_of_its_version() -> None:
    second = Second(
        1_784_642_401_000, 10.0, 11.0, 9.5, 10.5, 150.0, 2, 1550.0, 150.0, 1_784_642_400_900, "sip",
        "V|1|0|10.0|100.0;V|2|0|11.0|50.0", 1,
    )  # fmt: skip
    assert second.dump() == SECOND
    assert Second.load(SECOND) == second


def test_a_held_row_has_the_layout_of_its_version() -> None:
    held = Waiting().hold(late(0, (3, 12.0, 10), watermark=5))
    assert held.dump() == HELD
    assert Held.load(HELD) == held


def test_indicators_have_the_layout_of_their_version() -> None:
    indicators = IndicatorSet("1s", 300_000, 60_000, Sessions("regular"))
    for number, close in enumerate((10.0, 11.0, 10.5)):
        end_ms = START_MS + (number + 1) * 1_000
        indicators.advance(end_ms, end_ms - 1_000, close, close * 100, 100.0)
    assert list(array("d", indicators.to_bytes())) == pytest.approx(INDICATORS, rel=1e-9)


def test_layouts_of_version_1_which_did_not_say_their_version_are_read() -> None:
    assert Second.load(SECOND[1:]) == Second.load(SECOND)
    assert Held.load(HELD[1:]) == Held.load(HELD)
    loaded = Bench().engine
    loaded.load(SYMBOL, None, None, [SECOND[1:]], [HELD[1:]])
    assert loaded.second_state(1_784_642_401_000) == SECOND


def test_an_older_layout_is_brought_up_step_by_step_and_a_gap_in_the_steps_is_refused() -> None:
    steps: Upgrades = {2: lambda values: [*values, "two"], 3: lambda values: ["three", *values]}
    assert unpack("a thing", b"2[1]", 4, steps) == ["three", 1, "two"]
    assert unpack("a thing", b"3[1]", 4, steps) == ["three", 1]
    assert unpack("a thing", b"4[1]", 4, steps) == [1]
    for data, version in ((b"[1]", 1), (b"5[1]", 5)):
        with pytest.raises(StateVersionError, match=f"a thing has version {version}; this code reads 2, 3, 4: run"):
            unpack("a thing", data, 4, steps)
    with pytest.raises(StateVersionError, match=r"begins with b'\{\}'; it is a list with its version in front"):
        unpack("a thing", b"{}", 4, steps)


def test_an_older_layout_of_indicators_is_brought_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indicator_set, "UPGRADES", {1: lambda numbers: array("d", [2.0, *numbers[1:]])})
    older = array("d", [1.0, *INDICATORS[1:]]).tobytes()
    loaded = IndicatorSet.from_bytes(older, "1s", 300_000, 60_000, Sessions("regular"))
    assert list(array("d", loaded.to_bytes())) == INDICATORS


@pytest.mark.parametrize("timeframe", get_args(Timeframe))
def test_the_declared_parts_are_those_of_the_set_in_their_order(timeframe: Timeframe) -> None:
    indicators = IndicatorSet(timeframe, 300_000, 60_000, Sessions("regular"))
    assert list(part_versions(timeframe)) == [type(part).__name__ for part in indicators._parts()]


@pytest.mark.parametrize(
    ("symbol", "indicators", "seconds", "held"),
    [
        (b"[99" + SYMBOL[2:], None, [], []),
        (SYMBOL, array("d", [99.0, *INDICATORS[1:]]).tobytes(), [], []),
        (SYMBOL, None, [b"99" + SECOND[1:]], []),
        (SYMBOL, None, [], [b"99" + HELD[1:]]),
    ],
    ids=["symbol", "indicators_1s", "seconds", "held"],
)
def test_a_version_that_is_not_declared_is_refused(
    symbol: bytes, indicators: bytes | None, seconds: list[bytes], held: list[bytes]
) -> None:
    with pytest.raises(StateVersionError, match="version 99"):
        Bench().engine.load(symbol, indicators, None, seconds, held)
