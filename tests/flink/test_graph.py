"""The job's graph: one source and one deduplication per topic, and a uid on every operator that does not move."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from ta_pipeline.settings import load_settings

LARGE = 1 << 40
"""A number that Java gets as a long; py4j makes an int of one that fits."""
SNAPSHOT = Path(__file__).with_name("uids.txt")


pytestmark = pytest.mark.usefixtures("flink_home")


def _build(*, drill: bool = False, **overrides: Any) -> Any:
    # PyFlink starts its JVM when it is first used, with the environment of that moment; what it imports warns.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from flink.job import build  # noqa: PLC0415

        return build(load_settings(**overrides), drill=drill)


def _nodes(**overrides: Any) -> list[Any]:
    environment = _build(**overrides)
    from flink.uids import graph  # noqa: PLC0415

    return [node for node in graph(environment) if node.named]


@pytest.fixture(scope="module")
def nodes() -> list[Any]:
    return _nodes(status_topic="ta.status.v1")


def _uids(nodes: list[Any]) -> list[str]:
    return sorted(str(node.transformation.getUid()) for node in nodes)


@pytest.mark.parametrize("max_parallelism", [1, 90, 128])
def test_all_of_a_symbol_is_deduplicated_by_one_subtask_and_numbers_of_one_block_are_one_key(
    nodes: list[Any], max_parallelism: int
) -> None:
    from pyflink.java_gateway import get_gateway  # noqa: PLC0415

    assert nodes
    jvm = get_gateway().jvm
    text = jvm.org.apache.flink.table.data.StringData.fromString
    group_of = jvm.org.apache.flink.runtime.state.KeyGroupRangeAssignment.assignToKeyGroup
    selector = jvm.ta.flink.trades.Deduplicate.BlockOf(0, 1, 2, 3, max_parallelism)

    def key(symbol: str, day: int, exchange: str | None, number: int | None) -> Any:
        trade = jvm.org.apache.flink.table.data.GenericRowData(4)
        trade.setField(0, text(symbol))
        trade.setField(1, day * 86_400_000 + 5)
        trade.setField(2, None if exchange is None else text(exchange))
        trade.setField(3, number)
        return selector.getKey(trade)

    groups: dict[str, set[int]] = {}
    for symbol in ("AAPL", "NVDA", "MSFT"):
        keys = [
            key(symbol, day, exchange, number)
            for day in (20_000, 20_001)
            for exchange in ("V", "Q", None)
            for number in (None, LARGE, LARGE + 65_536, LARGE + 131_072, -LARGE)
        ]
        assert len({str(one) for one in keys}) == len(keys)
        groups[symbol] = {group_of(one, max_parallelism) for one in keys}
    assert [len(one) for one in groups.values()] == [1, 1, 1], groups
    assert str(key("AAPL", 20_000, "V", LARGE)) == str(key("AAPL", 20_000, "V", LARGE + 65_535))


def test_each_topic_has_one_source_and_trades_are_deduplicated_once(nodes: list[Any]) -> None:
    sources = [node for node in nodes if node.kind == "SourceTransformation"]
    assert sorted(node.name for node in sources) == [
        "bars_1m_log.source", "quotes_log.source", "status_log.source", "trades_log.source",
    ]  # fmt: skip
    assert [node.name for node in nodes if "deduplicate" in node.name] == ["trades_log.deduplicate"]


def test_windows_run_beside_the_deduplication_when_there_is_nobody_to_exchange_with() -> None:
    def joined(**overrides: Any) -> list[str]:
        environment = _build(**overrides)
        from flink.exchanges import join  # noqa: PLC0415

        return join(environment._generate_stream_graph(clear_transformations=True, job_name="test"))

    assert joined() == ["final.window"]
    assert joined(parallelism=2) == []


def test_the_uids_of_all_operators_are_the_released_ones(nodes: list[Any]) -> None:
    """A uid that changes loses its operator's state at the next upgrade: change the snapshot knowingly."""
    assert _uids(nodes) == SNAPSHOT.read_text(encoding="utf-8").split()


def test_uids_depend_neither_on_formats_nor_on_other_settings(nodes: list[Any]) -> None:
    other = _nodes(
        status_topic="ta.status.v1", input_format="avro-confluent", output_format="avro-confluent", parallelism=2,
        symbols="AAPL,MSFT", bar_rules="all", live_slice_ms=250, trades_topic="other.trades",
    )  # fmt: skip
    assert _uids(other) == _uids(nodes)


def test_without_a_heartbeat_only_its_own_operators_are_missing(nodes: list[Any]) -> None:
    missing = set(_uids(nodes)) - set(_uids(_nodes()))
    assert missing == {uid for uid in _uids(nodes) if uid.startswith(("status_sink.", "beats."))}


def test_a_drill_gives_other_uids_to_the_sinks_with_transactions_and_to_nothing_else(nodes: list[Any]) -> None:
    environment = _build(status_topic="ta.status.v1", drill=True)
    from flink.uids import graph  # noqa: PLC0415

    drill = {str(node.transformation.getUid()) for node in graph(environment) if node.named}
    sinks = {f"{name}_sink.sink" for name in ("bars", "signals", "late", "rejects")}
    assert set(_uids(nodes)) - drill == sinks
    assert drill - set(_uids(nodes)) == {f"{uid}.drill" for uid in sinks}


def test_the_manifest_has_every_operator_of_the_submitted_graph_with_the_id_that_flink_makes_of_its_uid(
    nodes: list[Any],
) -> None:
    settings = load_settings(status_topic="ta.status.v1", max_parallelism=64)
    environment = _build(status_topic="ta.status.v1", max_parallelism=64)
    from pyflink.java_gateway import get_gateway  # noqa: PLC0415

    from flink.manifest import describe  # noqa: PLC0415

    manifest = describe(environment, settings)
    committers = {f"Sink Committer: {uid}" for uid in _uids(nodes) if uid.endswith("_sink.sink")}
    assert set(manifest["operators"]) == set(_uids(nodes)) | committers
    hasher = get_gateway().jvm.org.apache.flink.streaming.api.graph.StreamGraphHasherV2
    for uid, one in manifest["operators"].items():
        assert one == bytes(hasher.generateUserSpecifiedHash(uid)).hex()
    assert (manifest["parallelism"], manifest["max_parallelism"]) == (1, 64)
    assert manifest["states"]["signals/indicators_1s"] == {"version": 2, "loads": []}


def test_max_parallelism_is_explicit() -> None:
    environment = _build(max_parallelism=64)
    assert environment.get_max_parallelism() == 64
