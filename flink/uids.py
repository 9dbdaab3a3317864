"""A stable uid for every operator, from what it is for: `<branch, topic or sink>.<role>`.

A savepoint finds an operator's state by its uid. Flink gives SQL operators none, or numbers them by a counter that
shifts when the query grows; so the graph is walked before it is executed, and each operator named by where it
stands:

    trades_log.source, trades_log.deduplicate     a source; an operator that several branches share
    trades_log.known_symbols                      what stands behind a source
    trades_log.kept_watermark, trades_once.kept_watermark   behind a source, and behind the exchange of deduplication
    trades_read.stream, trades_once.table         between SQL and streams, and back
    final.window, final.window_input, final.row   an operator of one branch only
    sequencer, signals, signal_rows               the function, and what packs and unpacks its rows
    bars_sink.sink, bars_sink.row                 an operator of one output only

Two operators with the same name would share state: that is an error here, never a number behind the name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from pyflink.datastream import StreamExecutionEnvironment

from ta_pipeline import rows

DRILL = ".drill"
"""Behind the uid of a sink that a drill does not restore."""

_BRANCHES = {
    rows.FINAL: "final", rows.QUOTE: "quote", rows.LIVE: "live", rows.LATE: "late", rows.LATE_QUOTE: "late_quote",
    rows.CANCEL: "cancel", rows.BAR_1M: "bar_1m", rows.STATUS: "status", rows.REJECT: "reject",
    rows.CLOCK: "clock",
}  # fmt: skip
_BRANCH = re.compile(r"ROW\('(\w)',")
_NUMBER = re.compile(r"\[\d+\]")
_FUNCTION = {"sequencer", "signals", "signal_rows"}
_DEDUPLICATE = "deduplicate"
_KNOWN_SYMBOLS = "known_symbols"
_KEPT_WATERMARK = "kept_watermark"
_TO_STREAM, _TO_TABLE = "TableToDataStream", "DataStreamToTable"
_UNNAMED = {"UnionTransformation", "PartitionTransformation", "SideOutputTransformation"}


class Node:
    """One transformation of the graph, and who takes its output."""

    def __init__(self, transformation: Any) -> None:
        self.transformation = transformation
        self.kind = str(transformation.getClass().getSimpleName())
        parts = _NUMBER.sub("", str(transformation.getName())).split(":")
        # An older kind of sink is called "Sink: table", the newer "table: Writer".
        self.name = (parts[-1] if parts[0] == "Sink" else parts[0]).strip()
        if self.name.startswith("*anonymous"):
            self.name = _TO_TABLE
        self.description = str(transformation.getDescription() or "")
        self.inputs: list[Node] = []
        self.outputs: list[Node] = []

    @property
    def is_sink(self) -> bool:
        """The end of an output."""
        return self.kind in {"SinkTransformation", "LegacySinkTransformation"}

    @property
    def named(self) -> bool:
        """Unions, exchanges and side outputs are edges, not operators: they take no uid."""
        return self.kind not in _UNNAMED

    def downstream(self) -> Iterator[Node]:
        """The operators that take this one's output, through edges."""
        for node in self.outputs:
            if node.named:
                yield node
            else:
                yield from node.downstream()

    def upstream(self) -> Iterator[Node]:
        """Every operator this one's rows come from."""
        for node in self.inputs:
            if node.named:
                yield node
            yield from node.upstream()


def set_uids(environment: StreamExecutionEnvironment, *, not_restored: Collection[str] = ()) -> list[str]:
    """Set every operator's uid; returns them, sorted.

    Args:
        environment: the whole graph.
        not_restored: tables whose sinks get another uid, so that they start without the state of the job they are
            restored from. A KafkaSink acts on the transactions in its state whatever its own prefix is: its committer
            commits those that were pre-committed, by the producer id and epoch in the state, and its writer aborts
            open ones under the prefix in the state as well as under its own (`KafkaCommitter.commit` and
            `ExactlyOnceKafkaWriter.abortLingeringTransactions`, flink-connector-kafka 5.0). In a drill beside the
            running job those are the running job's: committed, they come twice for its readers when it fails over to
            an older checkpoint.

    Raises:
        ValueError: two operators would have the same uid.
    """
    nodes = [node for node in graph(environment) if node.named]
    uids: dict[str, Node] = {}
    for node in nodes:
        uid = uid_of(node)
        if node.is_sink and node.name in not_restored:
            uid += DRILL
        if uid in uids:
            raise ValueError(
                f"two operators would have the uid {uid!r}: {uids[uid].description[:120]} and "
                f"{node.description[:120]}; teach flink/uids.py to tell them apart"
            )
        uids[uid] = node
    for uid, node in uids.items():
        node.transformation.setUid(uid)
        # Flink's own name has a number that shifts, and is the label of the operator's metrics.
        node.transformation.setName(uid)
    return sorted(uids)


def uid_of(node: Node) -> str:
    """The uid of one operator."""
    if node.kind == "SourceTransformation":
        return f"{node.name}.source"
    if node.name in _FUNCTION:
        return node.name
    return f"{_owner(node)}.{_role(node)}"


def _owner(node: Node) -> str:
    """The output or the branch that alone uses the operator, else the topic it reads."""
    sources = sorted({other.name for other in node.upstream() if other.kind == "SourceTransformation"})
    if any(other.name == "signals" for other in node.upstream()):
        if node.name == _TO_TABLE:
            return _side(node)
        return next(other.name for other in (node, *_all_downstream(node)) if other.is_sink)
    stage = _stage(node) or ("ticks" if node.name in {_TO_STREAM, "ConstraintEnforcer"} else None)
    if stage is not None:
        return stage
    sinks = {other.name for other in (node, *_all_downstream(node)) if other.is_sink}
    if len(sinks) == 1 and not any(other.name == "signals" for other in _all_downstream(node)):
        return sinks.pop()
    branches = sorted({branch for other in (node, *_all_downstream(node)) if (branch := _branch(other))})
    if len(branches) != 1:
        return "+".join(sources)
    return f"{branches[0]}_{sources[0].removesuffix('_log')}" if branches[0] == "reject" else branches[0]


def _stage(node: Node) -> str | None:
    """Which of the streams between a log and its branches an operator belongs to, if to any.

    Each log whose symbols have state is a stream (`trades_read`). Of the trades the usable ones are made (`trades_ok`),
    of which the function makes `trades_once`: each later one has fewer conversions to a stream before it.
    """
    if any(other.name == "signals" for other in node.upstream()):
        return None
    logs = {other.name.removesuffix("_log") for other in node.upstream() if other.kind == "SourceTransformation"}
    if len(logs) != 1:
        return None
    (log,) = logs
    if node.name in {_DEDUPLICATE, _KNOWN_SYMBOLS, _KEPT_WATERMARK}:
        is_once = any(other.name == _DEDUPLICATE for other in node.upstream())
        return "trades_once" if is_once else f"{log}_log"
    stages = ["trades_once", "trades_ok", "trades_read"] if log == "trades" else ["", f"{log}_read"]
    ahead = len({id(other) for other in (node, *_all_downstream(node)) if other.name == _TO_STREAM})
    if ahead > 1:
        return stages[ahead - 1]
    if node.name != _TO_TABLE:
        return None
    passed = len({id(other) for other in node.upstream() if other.name == _TO_STREAM})
    return stages[-1] if passed == 1 else stages[0]


def _role(node: Node) -> str:
    roles = {
        _DEDUPLICATE: _DEDUPLICATE, _KNOWN_SYMBOLS: _KNOWN_SYMBOLS, _KEPT_WATERMARK: _KEPT_WATERMARK,
        "WindowAggregate": "window",
        _TO_STREAM: "stream", _TO_TABLE: "table", "ConstraintEnforcer": "not_null", "WatermarkAssigner": "watermark",
    }  # fmt: skip
    if node.is_sink:
        return "sink"
    if node.name in roles:
        return roles[node.name]
    after = sorted({other.name for other in node.downstream()})
    if _branch(node) or any(other.is_sink for other in node.downstream()):
        return "row"
    if after == ["Calc"]:
        sources = sorted({other.name for other in node.upstream() if other.kind == "SourceTransformation"})
        return "from_" + "+".join(sources) if sources else "row"
    named = [roles.get(name, "row") for name in after]
    return f"{'+'.join(named)}_input"


def _branch(node: Node) -> str | None:
    if node.name != "Calc":
        return None
    found = _BRANCH.search(node.description)
    return _BRANCHES[found.group(1)] if found else None


def _side(node: Node) -> str:
    """Which of the function's outputs this reads."""
    for other in node.inputs:
        if other.kind == "SideOutputTransformation":
            return str(other.transformation.getOutputTag().getId())
    return "signals"


def _all_downstream(node: Node) -> Iterator[Node]:
    for other in node.downstream():
        yield other
        yield from _all_downstream(other)


def graph(environment: StreamExecutionEnvironment) -> list[Node]:
    """Every transformation of the job, with who feeds it and who takes its output."""
    nodes: dict[int, Node] = {}

    def visit(transformation: Any) -> Node:
        number = int(transformation.getId())
        if number not in nodes:
            node = nodes[number] = Node(transformation)
            for source in transformation.getInputs():
                before = visit(source)
                node.inputs.append(before)
                before.outputs.append(node)
        return nodes[number]

    for transformation in environment._j_stream_execution_environment.getTransformations():
        visit(transformation)
    return list(nodes.values())
