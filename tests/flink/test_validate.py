"""`ta validate` with the real job: green on a market where everything happens that can, red when one thing differs."""

from __future__ import annotations

import gzip
import random
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ta_pipeline.cli import app
from ta_pipeline.replay.compare import compare
from ta_pipeline.replay.frames import job_frames, reference_frames
from ta_pipeline.replay.inputs import cut_day
from ta_pipeline.replay.reference import Reference, compute_reference
from ta_pipeline.replay.validate import rules_of
from ta_pipeline.sessions import SessionBounds
from ta_pipeline.settings import load_settings
from tests.messages import BAD, bar_1m, cancel, correction, quote, status, trade, write_recording
from tests.shared_data import shared_file

CONDITIONS = (["@"], ["@"], ["@"], ["@", "I"], ["4"], ["B"], ["@", "T", "F"], ["nobody knows it"], None)
OPENING = SessionBounds(1_514_903_400_000, 1_514_904_000_000)  # 2018-01-02 14:30 to 14:40 UTC


def messy_market(seed: int = 11, seconds: int = 240) -> list[dict[str, Any] | bytes]:
    """Three symbols: late trades and quotes, cancels and corrections, duplicates, conditions, minutes, bad records."""
    chance = random.Random(seed)
    messages: list[dict[str, Any] | bytes] = []
    sent: list[tuple[str, int]] = []
    price = dict.fromkeys(("AAA", "BBB", "C.C"), 100.0)
    number = 0
    for step in range(seconds * 12):
        now = step / 12
        symbol = chance.choice(["AAA", "AAA", "AAA", "BBB", "BBB", "C.C"])
        price[symbol] = round(price[symbol] + chance.choice([-0.02, -0.01, 0, 0.01, 0.02]), 2)
        late = chance.choice([0.0] * 24 + [1.5, 2.4, 3.7, 15.0, 55.0, 62.0, 90.0])
        at = max(now - late, 0.0)
        if chance.random() < 0.5:
            bid, ask = price[symbol] - 0.01, price[symbol] + chance.choice([0.01, 0.01, -0.02, -0.01])
            sizes = chance.choice([(3, 1), (1, 7), (0, 2)])
            messages.append(quote(at, round(bid, 2), round(ask, 2), *sizes, S=symbol))
            continue
        number += 1
        size = chance.choice([100, 50, 0.125, 7.3])
        known = None if chance.random() < 0.02 else number
        what = {"S": symbol, "x": chance.choice(["V", "Q", None]), "c": chance.choice(CONDITIONS)}
        message = trade(known, at, price[symbol], size, **what, z=chance.choice(["A", "C", None]))
        messages.append(message)
        sent.append((symbol, number))
        if chance.random() < 0.03:
            messages.append(message)
        if chance.random() < 0.12:
            symbol, other = sent[-chance.choice([1, 1, 2, 5, 40, 200, 700]) % len(sent)]
            exchange = chance.choice(["V", "Q", None])
            if chance.random() < 0.5:
                messages.append(cancel(other, now, S=symbol, x=exchange))
            else:
                new = 1_000_000 + number
                messages.append(
                    correction(other, new, now, price[symbol] + 0.5, 30, S=symbol, x=exchange, cc=["@", "I"])
                )
                sent.append((symbol, new))
        if step % 720 == 719:
            minute = step // 720 * 60
            for name in ("AAA", "BBB"):
                messages += [bar_1m(minute, price[name], S=name), bar_1m(minute - 60, price[name], "u", S=name)]
                messages.append(bar_1m(minute, price[name] + 0.1, "u", 130, S=name, vw=None))
    messages[500:500] = [message for _, message in BAD]
    return [*messages, status(seconds, "H")]


@dataclass(frozen=True)
class Ran:
    """One `ta validate`: how it ended, what it printed and wrote."""

    exit_code: int
    printed: str
    out: Path


def _validate(*arguments: object) -> Ran:
    out = Path(str(arguments[arguments.index("--out") + 1]))
    result = CliRunner().invoke(app, ["validate", *map(str, arguments)], env={"COLUMNS": "200"})
    return Ran(result.exit_code, result.output, out)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("messy") / "messy.jsonl", messy_market())


@pytest.fixture(scope="module")
def messy(recording: Path) -> Ran:
    return _validate(recording, "--out", recording.parent / "out")


@pytest.fixture(scope="module")
def reference(recording: Path) -> Reference:
    return compute_reference([recording], rules_of(load_settings()))


def test_a_market_with_everything_that_can_happen_is_green(messy: Ran, reference: Reference) -> None:
    assert messy.exit_code == 0, messy.printed
    assert "GREEN" in messy.printed
    bars = reference.bars
    assert (bars["revision"] > 1).any()
    assert (bars["count"] == 0).any(), "a bar was cancelled altogether"
    assert set(reference.late["reason"]) == {"beyond_horizon", "no_such_trade", "newer_quote_known", "older_minute"}
    assert len(reference.rejects) >= len(BAD)
    assert reference.duplicates > 10
    assert (reference.signals["size"] == "PT1M").sum() > 4


def test_the_report_has_the_verdict_its_numbers_and_pictures(messy: Ran) -> None:
    report = (messy.out / "report.md").read_text(encoding="utf-8")
    assert report.startswith("# Replay of all on 2026-07-21: green")
    assert "## Job against pandas" in report
    assert "seconds were revised" in report
    assert "Not applicable" in report
    for picture in ("price.png", "differences-job.png"):
        assert f"({picture})" in report
        assert (messy.out / picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("table", "field"), [("bars", "v"), ("bars", "h"), ("signals", "rsi14"), ("signals", "bid_px")]
)
def test_one_value_of_the_jobs_output_that_is_wrong_turns_it_red(
    messy: Ran, reference: Reference, table: str, field: str
) -> None:
    found = dict(job_frames(messy.out / "output", load_settings()))
    expected = reference_frames(reference)
    assert compare(expected, found).is_green
    edited = found[table].copy()
    row = edited.index[edited[field].notna()][40]
    edited.loc[row, field] *= 1 + 1e-6
    comparison = compare(expected, {**found, table: edited})
    assert [f.name for t in comparison.tables for f in t.fields if f.differences] == [field]


def test_a_setting_of_the_job_alone_turns_it_red_and_the_field_is_named(tmp_path: Path) -> None:
    files = []
    for name in ("trades", "quotes"):
        with gzip.open(shared_file(f"xxx_20180102_{name}.jsonl.gz"), "rb") as lines:
            path = tmp_path / name
            path.write_bytes(b"".join(islice(lines, 12_000)))
        files.append(cut_day([path], OPENING, tmp_path / f"{name}.jsonl"))
    red = _validate(*files, "--day", "2018-01-02", "--job-set", "TA_VWAP_WINDOW_SECONDS=60", "--out", tmp_path / "out")
    assert red.exit_code == 1, red.printed
    assert "RED" in red.printed
    assert "signals: w5m differs in" in red.printed
    assert "# Replay of all on 2018-01-02: RED" in (red.out / "report.md").read_text(encoding="utf-8")
    assert red.printed.count(" differs in ") == 1, red.printed


def test_what_cannot_be_judged_is_said_and_is_not_red(tmp_path: Path) -> None:
    missing = _validate(tmp_path / "nowhere.jsonl", "--out", tmp_path)
    assert (missing.exit_code, "nowhere.jsonl" in missing.printed) == (2, True)
    unnamed = _validate("--out", tmp_path)
    assert (unnamed.exit_code, "--day" in unnamed.printed) == (2, True)
    shared = _validate(
        "--out", tmp_path, shared_file("xxx_20180102_trades.jsonl.gz"), "--job-set", "TA_GROUP_ID=flink-ta"
    )
    assert (shared.exit_code, "not apart from production" in shared.printed) == (2, True)
