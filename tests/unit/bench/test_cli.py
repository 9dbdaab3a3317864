from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ta_pipeline import cli_bench, cli_stack
from ta_pipeline.bench.results import Results
from ta_pipeline.bench.shapes import Report, Shape, Steady
from ta_pipeline.cli import app
from ta_pipeline.compute import ComputeReport
from ta_pipeline.errors import FlinkError
from tests.unit.bench.test_results import drain, run


class Bench:
    """Measures nothing, and remembers what it was asked for."""

    flink_version = "2.2.1"
    fails_at = ""
    asked: list[str]

    def __init__(self, _stack: object, _report: Report, _done: Report) -> None:
        self.results = Results()
        type(self).asked = []

    def _take(self, name: str) -> None:
        self.asked.append(name)
        if name == self.fails_at:
            raise FlinkError(f"{name} failed")

    def drains(self, shape: Shape, rounds: int) -> None:
        self._take(f"{shape.name} {rounds}")
        self.results.drains.append(drain(shape))

    def symbols(self, shapes: tuple[Shape, ...], rounds: int) -> None:
        self._take(f"{' and '.join(shape.name for shape in shapes)} {rounds}")

    def run(self, steady: Steady, seconds: float) -> None:
        self._take(f"{steady.name} {seconds:g}")
        self.results.runs.append(run(steady))

    def reading(self, rounds: int) -> None:
        self._take(f"reader {rounds}")

    def compute(self, recordings: list[Path]) -> None:
        self._take(" ".join(path.name for path in recordings))
        self.results.computes.append(ComputeReport({"trades": 1}, {"bars": 1}, 30.0))


@pytest.fixture(autouse=True)
def _no_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_stack, "up", lambda: None)
    monkeypatch.setattr(cli_bench, "Bench", Bench)
    monkeypatch.setattr(Bench, "fails_at", "")


def bench(*arguments: str, out: Path) -> tuple[int, str]:
    """Exit status and report."""
    code = CliRunner().invoke(app, ["bench", "--out", str(out), *arguments]).exit_code
    return code, "".join(path.read_text(encoding="utf-8") for path in out.glob("*.md"))


def test_everything_but_the_day_is_measured_unless_it_is_left_out(tmp_path: Path) -> None:
    code, report = bench(out=tmp_path)
    assert code == 0
    assert Bench.asked == [
        "dense 3", "sparse 3", "10 symbols and 1,000 symbols 2", "latency 60", "fast finals 60", "sustained 600",
        "reader 3",
    ]  # fmt: skip
    assert "## A recorded day\n\nLeft out." in report
    (picture,) = tmp_path.glob("*.png")
    assert f"]({picture.name})" in report


def test_each_part_can_be_left_out_and_a_day_may_have_several_files(tmp_path: Path) -> None:
    files = [tmp_path / "trades.jsonl", tmp_path / "quotes.jsonl"]
    for file in files:
        file.touch()
    nothing = (
        "--rounds",
        "--symbols-rounds",
        "--latency-seconds",
        "--fast-seconds",
        "--sustained-seconds",
        "--reader-rounds",
    )
    left_out = [part for name in nothing for part in (name, "0")]
    code, report = bench(*left_out, *(part for file in files for part in ("--day", str(file))), out=tmp_path / "out")
    assert (code, Bench.asked) == (0, ["trades.jsonl quotes.jsonl"])
    assert report.count("Left out.") == 4


def test_what_was_measured_before_an_error_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bench, "fails_at", "latency 60")
    code, report = bench(out=tmp_path)
    assert (code, Bench.asked[-1]) == (1, "latency 60")
    assert "latency 60 failed" in report
    assert "### dense" in report


def test_an_error_before_anything_was_measured_leaves_no_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bench, "fails_at", "dense 3")
    assert bench(out=tmp_path) == (1, "")
