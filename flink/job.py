"""The job, as the picture in the README: settings -> tables -> windows -> signals -> sinks.

Run it on a cluster: `flink run -d -py flink/job.py`; settings come as arguments (`--set TA_X=Y`) or from the
environment of the client. `--recordings IN --out OUT` is the bounded run of `ta compute`: files, no Kafka, no live.
`--describe FILE` submits nothing and writes what the job needs of a saved state (flink/manifest.py). `--drill` leaves
the state of exactly-once sinks behind, for a job that is restored beside the one the state is of (flink/uids.py).
`--rebuild URI` begins anew from the inputs, and gives out what is not on the output topics yet (`ta recover`).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pyflink.common import TypeInformation, Types
from pyflink.datastream import DataStream, StreamExecutionEnvironment
from pyflink.datastream.data_stream import KeyedStream
from pyflink.java_gateway import get_gateway
from pyflink.table import Schema, StreamTableEnvironment
from pyflink.util.java_utils import to_jarray

from flink.environment import create_environment
from flink.exchanges import execute
from flink.handover import end_with_owner, wait_for_go
from flink.manifest import describe
from flink.signals import BEAT_TAG, INSTANTS, LATE_TAG, REJECT_TAG, SIGNAL_TYPE, SignalFunction
from flink.sinks import BEATS_VIEW, LATE_VIEW, REJECTS_VIEW, SIGNALS_VIEW, create_sinks, outputs, status_view_sql
from flink.tables import Recordings, create_sources, startup_at, startup_options
from flink.ticks import create_ticks
from flink.uids import set_uids
from flink.windows import TYPES, create_branch_views, ticks_query
from ta_pipeline.recovery.rebuild import Rebuild
from ta_pipeline.rows import FINAL, QUOTE
from ta_pipeline.settings import Settings, load_settings, parse_overrides
from ta_pipeline.signals.outputs import Signal
from ta_pipeline.signals.published import Published
from ta_pipeline.trade_conditions import TradeConditions

_ROW_TYPES = {
    "STRING": Types.STRING(),
    "BIGINT": Types.LONG(),
    "INT": Types.INT(),
    "DOUBLE": Types.DOUBLE(),
    "BYTES": Types.PRIMITIVE_ARRAY(Types.BYTE()),
}
_ORDERED_BY = ("branch", "end_ms")


@dataclass(frozen=True)
class Files:
    """The bounded run's input and output folders, and where its progress can be read."""

    recordings: Recordings
    out: Path
    rest_port: int | None = None


class Signals(NamedTuple):
    """The function, for its side outputs, and its main output as rows of `SIGNAL_TYPE`."""

    function: DataStream
    rows: DataStream


def build(
    settings: Settings, files: Files | None = None, *, drill: bool = False, rebuild: Rebuild | None = None
) -> StreamExecutionEnvironment:
    """The whole job as a graph, ready to execute.

    Args:
        settings: of the job.
        files: make it the bounded run over these.
        drill: the uids of exactly-once sinks are others, so that their state is not restored.
        rebuild: where a job without state begins, and what of its output is there already.
    """
    bounded = files is not None
    environment, tables = create_environment(settings, bounded=bounded, rest_port=files.rest_port if files else None)
    rules = TradeConditions.load()

    startup = startup_options(settings) if rebuild is None else startup_at(rebuild.start_ms)
    create_sources(tables, settings, files.recordings if files else None, startup)
    create_ticks(tables, settings, rules)
    create_branch_views(tables)
    ticks = tables.to_data_stream(tables.sql_query(ticks_query(settings, rules, live=not bounded)))

    signals = signals_of(ticks, settings, live=not bounded, published=rebuild.published if rebuild else None)

    _write(tables, settings, signals, files.out if files else None)
    if not bounded:
        transactional = [output.name for output in outputs(settings, live=True) if output.exactly_once]
        set_uids(environment, not_restored=transactional if drill else ())
    return environment


def signals_of(ticks: DataStream, settings: Settings, *, live: bool, published: Published | None = None) -> Signals:
    """The keyed function over the rows of all branches, in order; what is `published` is not given out.

    Rows cross into Python packed, and come back packed: `Sequencer` and `SignalRows` (flink/java) do it. The query has
    put the key beside the row, as PyFlink's `key_by` would: that one runs a Python function for each row only to do so.
    """
    jvm = get_gateway().jvm
    row_type = Types.ROW_NAMED(list(TYPES), [_ROW_TYPES[kind] for kind in TYPES.values()])
    packed_type = Types.PICKLED_BYTE_ARRAY()
    key_type = Types.ROW([Types.STRING()]).get_java_type_info()

    stream = ticks._j_data_stream
    stream.getTransformation().setOutputType(_keyed(row_type))
    sequencer = jvm.ta.flink.rows.Sequencer(
        row_type.get_java_type_info(), to_jarray(jvm.String, [QUOTE, FINAL]), *map(list(TYPES).index, _ORDERED_BY)
    )
    packed = stream.keyBy(jvm.KeyByKeySelector(), key_type).process(sequencer, _keyed(packed_type)).name("sequencer")
    keyed = jvm.org.apache.flink.streaming.api.datastream.DataStreamUtils.reinterpretAsKeyedStream(
        packed, jvm.KeyByKeySelector(), key_type
    )
    function = KeyedStream(keyed, packed_type, ticks).process(
        SignalFunction(settings, live=live, published=published), packed_type
    )
    function.name("signals")

    instants = to_jarray(jvm.int, [number for number, name in enumerate(Signal._fields) if name in INSTANTS])
    unpacked = jvm.ta.flink.rows.SignalRows(instants)
    rows = function._j_data_stream.flatMap(unpacked, SIGNAL_TYPE.get_java_type_info()).name("signal_rows")
    return Signals(function, DataStream(rows))


def _keyed(row_type: TypeInformation) -> Any:
    return Types.ROW_NAMED(["key", "row"], [Types.STRING(), row_type]).get_java_type_info()


def _write(tables: StreamTableEnvironment, settings: Settings, signals: Signals, directory: Path | None) -> None:
    tables.create_temporary_view(SIGNALS_VIEW, tables.from_data_stream(signals.rows))
    for view, tag in ((LATE_VIEW, LATE_TAG), (REJECTS_VIEW, REJECT_TAG)):
        # PyFlink's get_side_output would run a Python function for each row, only to set its type.
        side = DataStream(signals.function._j_data_stream.getSideOutput(tag.get_java_output_tag()))
        tables.create_temporary_view(view, tables.from_data_stream(side))
    if directory is None and settings.status_topic:
        beats = DataStream(signals.function._j_data_stream.getSideOutput(BEAT_TAG.get_java_output_tag()))
        schema = Schema.new_builder().column_by_expression("proc_time", "PROCTIME()").build()
        tables.create_temporary_view(BEATS_VIEW, tables.from_data_stream(beats, schema))
        tables.execute_sql(status_view_sql(settings))
    every = outputs(settings, live=directory is None)
    create_sinks(tables, settings, every, directory)
    inserts = tables.create_statement_set()
    for output in every:
        inserts.add_insert_sql(output.insert_sql())
    inserts.attach_as_datastream()


def main() -> None:
    """Build the job from the command line and submit it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", default=[], metavar="TA_X=Y", help="override one setting")
    parser.add_argument("--recordings", type=Path, help="folder of numbered lines, one file a topic")
    parser.add_argument("--out", type=Path, help="folder for the bounded run's output")
    parser.add_argument("--await", dest="go", type=Path, help="plan the job, then wait for this file to start it")
    parser.add_argument("--rest-port", type=int, help="port of the bounded run's own REST API")
    parser.add_argument("--describe", type=Path, metavar="FILE", help="write what the job needs of a saved state")
    parser.add_argument("--drill", action="store_true", help="leave the state of exactly-once sinks behind")
    parser.add_argument("--rebuild", metavar="URI", help="begin anew from the inputs, as this object says")
    parser.add_argument("--owner", help="end with this process: its id and start, as JSON")
    arguments = parser.parse_args()
    if arguments.owner:
        end_with_owner(arguments.owner)
    settings = load_settings(**parse_overrides(arguments.set))
    files = None
    if arguments.recordings:
        folder = arguments.recordings
        recordings = Recordings(*(folder / f"{name}.jsonl" for name in ("trades", "quotes", "bars_1m", "status")))
        files = Files(recordings, arguments.out, arguments.rest_port)
    rebuild = Rebuild.load(settings, arguments.rebuild) if arguments.rebuild else None
    environment = build(settings, files, drill=arguments.drill, rebuild=rebuild)
    if arguments.describe:
        manifest = describe(environment, settings)
        arguments.describe.write_text(json.dumps(manifest, indent=2), encoding="utf-8")
        return
    if arguments.go:
        wait_for_go(environment, arguments.go)
    execute(environment, settings.k8s_deployment)


if __name__ == "__main__":
    main()
