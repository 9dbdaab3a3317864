"""Typed signals and bars are what the schemas say, and a newer job's fields do not disturb an older reader."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from ta_pipeline.reader import records
from ta_pipeline.reader.records import BAR_FIELDS, SIGNAL_FIELDS, ingest_ms
from tests.output_records import START_MS, bar, handed, signal

SCHEMAS = Path(__file__).parents[3] / "schema" / "avro"
GROUPS: dict[str, Any] = {
    "ema": records.Ema, "macd": records.Macd, "boll": records.Boll, "vwap": records.Vwap,
    "imbalance": records.Imbalance, "vol_realized": records.VolRealized,
}  # fmt: skip


def fields_of(schema: str) -> dict[str, Any]:
    found = json.loads((SCHEMAS / f"{schema}.avsc").read_text(encoding="utf-8"))
    return {field["name"]: field["type"] for field in found["fields"]}


def names_of(kind: type[Struct]) -> set[str]:
    return set(kind.__struct_fields__)


@pytest.mark.parametrize(("schema", "known"), [("TaSignal", SIGNAL_FIELDS), ("TaBar1s", BAR_FIELDS)])
def test_every_field_of_the_schema_is_known(schema: str, known: frozenset[str]) -> None:
    assert set(fields_of(schema)) == known


@pytest.mark.parametrize(("schema", "kind"), [("TaSignal", records.Signal), ("TaBar1s", records.Bar)])
def test_every_field_that_is_no_constant_is_handed_out(schema: str, kind: type) -> None:
    wire = {"event_ts", "window", "last_event_ts", "channel", "source", "version"}
    typed = {"size", "end_ms", "last_event_ms", "standing", "extra"}
    assert names_of(kind) - typed == set(fields_of(schema)) - wire


@pytest.mark.parametrize("group", GROUPS)
def test_every_field_of_a_group_is_handed_out(group: str) -> None:
    (inner,) = [part for part in fields_of("TaSignal")[group] if part != "null"]
    assert names_of(GROUPS[group]) == {field["name"] for field in inner["fields"]}


def test_a_signal_has_its_values() -> None:
    record = signal("NVDA", START_MS, 170.1, revision=2, macd=None)
    found = handed(record, "revises")
    assert (found.symbol, found.size, found.end_ms, found.revision, found.is_final, found.standing) == (
        "NVDA", "PT1S", START_MS, 2, True, "revises",
    )  # fmt: skip
    assert found.end.isoformat() == "2026-01-02T14:30:00+00:00"
    assert found.c == 170.1
    assert found.macd is None
    assert found.ema == records.Ema(record["ema"]["ema12"], record["ema"]["ema26"])
    assert found.boll == records.Boll(**record["boll"])
    assert found.vwap == records.Vwap(**record["vwap"])
    assert found.imbalance == records.Imbalance(**record["imbalance"])
    assert found.vol_realized == records.VolRealized(**record["vol_realized"])
    assert ingest_ms(found) == START_MS - 10
    assert found.extra == {}


def test_a_bar_has_its_values() -> None:
    record = bar("NVDA", START_MS, (1.0, 4.0, 0.5, 2.0), 7.0)
    found = handed(record)
    assert (found.o, found.h, found.l, found.c, found.v, found.count) == (1.0, 4.0, 0.5, 2.0, 7.0, 4)


def test_fields_of_a_newer_job_are_kept_aside() -> None:
    record = {**signal(), "skew": 0.25, "boll": {"mid": 1.0, "upper": 2.0, "lower": 0.5, "width": 1.5}}
    found = handed(record)
    assert found.extra == {"skew": 0.25}
    assert found.boll == records.Boll(1.0, 2.0, 0.5)
    later = {**bar(), "trades": 12}
    assert handed(later).extra == {"trades": 12}


def test_what_is_handed_out_cannot_be_changed() -> None:
    record = signal()
    found = handed(record)
    with pytest.raises(AttributeError, match="immutable"):
        found.c = 1.0  # type: ignore[misc]


def test_what_is_handed_out_goes_to_another_process_as_it_is() -> None:
    found = handed({**signal(), "skew": 0.25})
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - our own
