"""The job of this proof, for PyFlink 1.20: `counter.py PER_SECOND` counts a sequence, and tells what by counters.

ta.count       elements counted, those of before included: the state
ta.began       what the state was when the first element came since the start; 0: there was none
ta.breaks      elements that were not the next one of the sequence: source and counter are not of one moment
ta.version     `COUNTER_VERSION` of the pod's environment
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from pyflink.common import Types
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.functions import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.table import StreamTableEnvironment

LAST = 200_000
"""The source holds what is left of it in memory; this is hours."""


class Count(KeyedProcessFunction):  # type: ignore[misc]
    """Counts, and looks whether each element is the next one."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self._state = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        group = runtime_context.get_metrics_group().add_group("ta")
        self._count, self._began = group.counter("count"), group.counter("began")
        self._breaks = group.counter("breaks")
        group.counter("version").inc(int(os.environ["COUNTER_VERSION"]))
        self._is_first = True

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        before = self._state.value() or 0
        if self._is_first:
            self._is_first = False
            self._began.inc(before)
            self._count.inc(before)
        if value[0] != before + 1:
            self._breaks.inc()
        self._count.inc()
        self._state.update(before + 1)
        yield from ()


def main() -> None:
    """Run until somebody ends it."""
    env = StreamExecutionEnvironment.get_execution_environment()
    tables = StreamTableEnvironment.create(env)
    tables.execute_sql(
        "CREATE TEMPORARY TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', "
        f"'rows-per-second' = '{sys.argv[1]}', "
        f"'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '{LAST}')"
    )
    numbers = tables.to_data_stream(tables.from_path("numbers"))
    counted = numbers.key_by(lambda _row: 0, key_type=Types.INT()).process(Count(), output_type=Types.LONG())
    counted.name("counter").uid("counter").print().uid("nothing")
    env.execute()


if __name__ == "__main__":
    main()
