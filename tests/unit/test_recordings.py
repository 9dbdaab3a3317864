"""Recordings: what comes out of them, in which order, and what is said when they cannot be read."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.envelope import wrap
from ta_pipeline.errors import RecordingError
from ta_pipeline.recordings import encode, read, retimed, seconds_of, write_topic_files
from tests.messages import at, bar_1m, cancel, quote, status, trade
from tests.shared_data import shared_file

NOW = 1_900_000_000.0


def _file(path: Path, *lines: bytes | dict[str, Any]) -> Path:
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else orjson.dumps(line) for line in lines) + b"\n")
    return path


def _numbers(*paths: Path) -> list[int]:
    return [record.message["i"] for record in read(paths) if record.message is not None]


def _topic(folder: Path, kind: str) -> list[tuple[int, bytes]]:
    lines = (folder / f"{kind}.jsonl").read_bytes().splitlines()
    return [(int(number), value) for number, _, value in (line.partition(b"\t") for line in lines)]


def test_each_topic_has_its_records_numbered_from_zero_in_log_order(tmp_path: Path) -> None:
    recording = _file(tmp_path / "in.jsonl", trade(1, 5, 10.0), quote(1, 9, 11), cancel(1, 2), b"", trade(2, 0, 10.0))
    counts = write_topic_files([recording], tmp_path / "new" / "out", "snake")
    assert counts == {"trades": 3, "quotes": 1, "bars_1m": 0, "status": 0}
    trades = _topic(tmp_path / "new" / "out", "trades")
    assert [number for number, _ in trades] == [0, 1, 2]
    envelopes = [orjson.loads(value) for _, value in trades]
    assert [(envelope["payload"]["T"], envelope["seq"]) for envelope in envelopes] == [("t", 0), ("x", 1), ("t", 2)]
    assert (tmp_path / "new" / "out" / "status.jsonl").read_bytes() == b""


def test_lines_that_are_no_message_reach_the_trades_topic_as_they_are(tmp_path: Path) -> None:
    lines = [b"{not json", b"[1,2,3]", b"\xff", b'"text"']
    assert write_topic_files([_file(tmp_path / "in", *lines)], tmp_path, "snake")["trades"] == len(lines)
    assert [value for _, value in _topic(tmp_path, "trades")] == lines


def test_a_message_of_unknown_type_reaches_the_trades_topic_in_an_envelope(tmp_path: Path) -> None:
    message = {"T": "zz", "S": "AAA", "t": at(0)}
    write_topic_files([_file(tmp_path / "in", message)], tmp_path, "snake")
    ((_, value),) = _topic(tmp_path, "trades")
    assert orjson.loads(value)["payload"] == message


def test_an_envelope_of_unknown_type_goes_where_its_channel_says(tmp_path: Path) -> None:
    envelope = {**wrap({"T": "zz", "S": "AAA"}, seq=3, ingest_ts=at(0)), "channel": "quotes"}
    assert write_topic_files([_file(tmp_path / "in", envelope)], tmp_path, "snake")["quotes"] == 1


@pytest.mark.parametrize("case", ["snake", "camel"])
def test_envelopes_in_the_wanted_case_pass_unchanged_to_the_byte(tmp_path: Path, case: str) -> None:
    messages = [trade(1, 0, 10.0), quote(0, 9, 11), bar_1m(0, 10.0), status(0, "H")]
    lines = [
        orjson.dumps(wrap(message, seq=9, ingest_ts=at(1), field_case=case)).replace(b",", b", ")
        for message in messages
    ]
    write_topic_files([_file(tmp_path / "in", *lines)], tmp_path, case)
    kinds = ("trades", "quotes", "bars_1m", "status")
    assert [value for kind in kinds for _, value in _topic(tmp_path, kind)] == lines


def test_envelopes_in_the_other_case_are_turned_and_bare_messages_follow_the_setting(tmp_path: Path) -> None:
    snake = wrap(trade(1, 0, 10.0), seq=9, ingest_ts=at(1))
    write_topic_files([_file(tmp_path / "in", snake, trade(2, 1, 10.0))], tmp_path, "camel")
    first, second = (orjson.loads(value) for _, value in _topic(tmp_path, "trades"))
    assert first["ingestTs"] == at(1)
    assert "ingest_ts" not in first
    assert second["eventTs"] == at(1)


def test_the_time_of_receipt_moves_from_the_message_to_its_envelope(tmp_path: Path) -> None:
    (record,) = read([_file(tmp_path / "in", trade(1, 0, 10.0, ingest_ts=at(2)))])
    envelope = orjson.loads(encode(record, 0, "snake"))
    assert (envelope["ingest_ts"], envelope["event_ts"]) == (at(2), at(0))
    assert envelope["payload"] == trade(1, 0, 10.0)


def test_files_are_merged_by_time_of_receipt_if_there_is_one_else_by_event_time(tmp_path: Path) -> None:
    first = _file(tmp_path / "a", trade(1, 0, 1.0), trade(2, 10, 1.0))
    second = _file(tmp_path / "b", trade(3, 99, 1.0, ingest_ts=at(5)), trade(4, 0, 1.0, ingest_ts=at(11)))
    assert _numbers(first, second) == [1, 3, 2, 4]


def test_times_of_any_precision_and_offset_are_in_order(tmp_path: Path) -> None:
    first = _file(tmp_path / "a", trade(1, 0, 1.0, t="2026-07-21T14:30:00Z"), trade(3, 0, 1.0, t=at(2)))
    second = _file(
        tmp_path / "b",
        trade(2, 0, 1.0, t="2026-07-21T14:30:00.000000001Z"),
        trade(4, 0, 1.0, t="2026-07-21T16:30:03+02:00"),
    )
    assert _numbers(first, second) == [1, 2, 3, 4]


@given(st.lists(st.lists(st.integers(0, 20), max_size=12), min_size=1, max_size=3))
def test_a_merge_keeps_all_records_and_each_files_own_order(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    paths = [
        _file(folder / str(number), *(trade(1_000 * number + line, second, 1.0) for line, second in enumerate(seconds)))
        for number, seconds in enumerate(files)
    ]
    merged = _numbers(*paths)
    for number, seconds in enumerate(files):
        assert [i for i in merged if i // 1_000 == number] == [1_000 * number + line for line in range(len(seconds))]
    assert len(merged) == sum(map(len, files))


@pytest.mark.parametrize("bad", ["yesterday", "2026-02-30T00:00:00Z", "2026-07-21", 5, None])
def test_a_time_that_is_none_does_not_move_what_follows(tmp_path: Path, bad: object) -> None:
    first = _file(tmp_path / "a", trade(1, 0, 1.0), trade(2, 0, 1.0, t=bad), trade(3, 1, 1.0))
    second = _file(tmp_path / "b", trade(4, 5, 1.0))
    assert _numbers(first, second) == [1, 2, 3, 4]


def test_gzip_is_recognised_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    path.write_bytes(gzip.compress(orjson.dumps(trade(1, 0, 1.0))))
    assert _numbers(path) == [1]


def test_a_gzip_file_that_ends_too_early_is_named_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    whole = gzip.compress(b"".join(orjson.dumps(trade(i, i, i * 1.37)) + b"\n" for i in range(5_000)))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordingError, match=r"cut\.jsonl\.gz cannot be read after line \d+"):
        list(read([path]))


@pytest.mark.parametrize("paths", [[], [Path("nowhere.jsonl")], [Path()]])
def test_what_is_not_a_file_is_refused(paths: list[Path]) -> None:
    with pytest.raises(RecordingError, match=r"recording"):
        list(read(paths))


def test_recordings_without_a_record_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"no records in .*empty"):
        write_topic_files([_file(tmp_path / "empty", b"", b"  ")], tmp_path / "out", "snake")


def test_a_record_knows_its_file_and_line(tmp_path: Path) -> None:
    path = _file(tmp_path / "in", trade(1, 0, 1.0), b"", b"{")
    assert [record.place for record in read([path])] == [f"{path}, line 1", f"{path}, line 3"]


def test_retiming_keeps_how_old_a_message_was_and_gives_it_an_id_of_its_own(tmp_path: Path) -> None:
    late = wrap(trade(7, -3.5, 10.0), seq=1, ingest_ts=at(0), feed="iex", source="rest")
    moved = retimed(late, NOW, seconds_of(at(0)), 100)
    assert seconds_of(moved["ingest_ts"]) == NOW
    assert seconds_of(moved["event_ts"]) == pytest.approx(NOW - 3.5, abs=1e-5)
    assert moved["payload"] == {**late["payload"], "i": 107, "t": moved["event_ts"]}
    assert (moved["feed"], moved["source"], moved["seq"]) == ("iex", "rest", 1)


def test_a_retimed_time_is_rfc_3339_with_a_z_even_from_nanoseconds() -> None:
    envelope = wrap(trade(1, 0, 1.0, t="2026-07-21T14:30:00.123456789Z"), seq=1, ingest_ts=at(0))
    moved = retimed(envelope, NOW, seconds_of("2026-07-21T14:30:00.123456Z"), 0)
    assert moved["payload"]["t"] == "2030-03-17T17:46:40.000000Z"


def test_a_retimed_bar_still_begins_on_a_minute() -> None:
    moved = retimed(wrap(bar_1m(0, 10.0), seq=1, ingest_ts=at(60)), NOW + 17, seconds_of(at(60)), 0)
    assert moved["payload"]["t"] == "2030-03-17T17:45:00.000000Z"


@pytest.mark.parametrize("bad", ["yesterday", None, 5, "9999-12-31T23:59:59Z"])
def test_a_message_without_a_time_to_move_is_left_as_it_is(bad: object) -> None:
    envelope = wrap(trade(1, 0, 1.0, t=bad), seq=1, ingest_ts=at(0))
    assert retimed(envelope, NOW, seconds_of(at(0)), 100) is envelope


def test_a_recorded_day_is_split_whole(tmp_path: Path) -> None:
    names = ("xxx_20180102_trades.jsonl.gz", "xxx_20180102_quotes.jsonl.gz")
    counts = write_topic_files([shared_file(name) for name in names], tmp_path, "snake")
    assert counts == {"trades": 39_470, "quotes": 66_695, "bars_1m": 0, "status": 0}
    with gzip.open(shared_file(names[0])) as source:
        wanted = [orjson.loads(line) for line in source]
    assert [orjson.loads(value)["payload"] for _, value in _topic(tmp_path, "trades")] == wanted


def test_a_recording_in_arrival_order_stays_in_it(tmp_path: Path) -> None:
    path = shared_file("crypto_btcusdt_20240808_arrival.jsonl.gz")
    with gzip.open(path) as source:
        wanted = [orjson.loads(line)["ingest_ts"] for line in source]
    assert [(record.message or {})["ingest_ts"] for record in read([path])] == wanted
