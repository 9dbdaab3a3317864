"""The states of the signal function in a savepoint: their names, and the versions of what is in them.

Flink's function binds its states by these names, and the job's manifest (flink/manifest.py) declares them: so what is
said of a version of the job is what it does. The golden bytes in tests/unit/signals/test_states.py fail when a layout
changes and its version does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ta_pipeline.indicators import set as indicators
from ta_pipeline.signals import engine, held, second


@dataclass(frozen=True)
class State:
    """One keyed state.

    Attributes:
        name: of the state in a savepoint.
        version: of the layout this code writes.
        loads: the older versions that this code reads too.
        parts: versions of what is inside and has its own: each indicator's.
    """

    name: str
    version: int
    loads: tuple[int, ...] = ()
    parts: Mapping[str, int] = field(default_factory=dict)


SYMBOL = State("symbol", engine.VERSION, engine.LOADS)
INDICATORS_1S = State("indicators_1s", indicators.VERSION, indicators.LOADS, indicators.part_versions("1s"))
INDICATORS_1M = State("indicators_1m", indicators.VERSION, indicators.LOADS, indicators.part_versions("1m"))
SECONDS = State("seconds", second.VERSION, second.LOADS)
HELD = State("held", held.VERSION, held.LOADS)

STATES = (SYMBOL, INDICATORS_1S, INDICATORS_1M, SECONDS, HELD)
