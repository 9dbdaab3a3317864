"""What reading costs: the market it is measured with, and what its report says."""

from __future__ import annotations

import orjson

from ta_pipeline.bench.aims import reading_aims
from ta_pipeline.bench.output_market import OutputMarket
from ta_pipeline.bench.read_costs import Reading
from ta_pipeline.bench.reading import render_readings
from ta_pipeline.decode import OutputDecoder, head_of
from ta_pipeline.latency import LatencySummary
from ta_pipeline.settings import load_settings

BEGIN = 1_767_364_200.0
LATENCY = LatencySummary(1_000, 1.0, 8.0, 30.0, 40.0, 90.0)


def reading(form: str, number: int, cpu_seconds: float, records: int = 200_000) -> Reading:
    return Reading(form, number, 20.0, records, cpu_seconds, LATENCY, 0)


def test_the_market_has_its_rate_and_every_record_is_one_the_reader_knows() -> None:
    settings = load_settings()
    dues = list(OutputMarket(200, 2).records(settings, BEGIN))
    assert len(dues) == 400
    assert [due.at for due in dues] == sorted(due.at for due in dues)
    keys = set()
    with OutputDecoder(settings) as decoder:
        for due in dues:
            channel, record = decoder.decode(due.topic, due.value)
            head = head_of(record)
            assert head.symbol == due.key
            assert abs(head.last_event_ms - due.at * 1_000) <= 1
            keys.add((channel, head))
    assert len(keys) == 400
    assert sum(orjson.loads(due.value)["is_final"] for due in dues) == 80


def test_the_report_has_each_format_with_its_spread() -> None:
    text = render_readings([reading("json", 1, 6.0), reading("json", 2, 8.0), reading("avro-confluent", 1, 9.0)])
    assert "| json | 2 | 10,000 (10,000 to 10,000) | 0.35 (0.30 to 0.40) | 35.0 (30.0 to 40.0) | 8 (8 to 8) |" in text
    assert "| avro-confluent | 1 |" in text


def test_a_reader_that_takes_half_a_core_or_less_meets_its_aim() -> None:
    readings = [reading("json", 1, 6.0), reading("avro-confluent", 1, 10.2)]
    assert [aim.verdict for aim in reading_aims(readings)] == ["met", "not met"]
    assert [aim.verdict for aim in reading_aims([])] == ["not measured", "not measured"]


def test_a_market_that_was_too_slow_says_nothing() -> None:
    assert reading_aims([reading("json", 1, 2.0, records=100_000)])[0].verdict == "not measured"
