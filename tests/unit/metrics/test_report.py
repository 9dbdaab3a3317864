"""The page and the picture of a report, of readings whose values are known."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from ta_pipeline.metrics.panel import Panel, Query, State, Threshold
from ta_pipeline.metrics.picture import draw, verdict
from ta_pipeline.metrics.picture_panels import draw_panel, spells
from ta_pipeline.metrics.picture_texts import labels_in, shown, ticks_in
from ta_pipeline.metrics.readings import Asked, Line, Reading
from ta_pipeline.metrics.report import page
from ta_pipeline.metrics.span import Span

SPAN = Span(1_795_698_000.0, 1_795_698_300.0, 5.0)
ASKED = Asked(SPAN, ".*", "torghut_ta")
UP = (State(0, "down", "critical"), State(1, "running", "good"))
NAN = math.nan


def line(name: str, *values: float, is_limit: bool = False) -> Line:
    return Line(name, tuple((SPAN.end - 5.0 * (len(values) - n), v) for n, v in enumerate(values, 1)), is_limit)


def latency(*values: float, limit: float = 0.5) -> Reading:
    panel = Panel("Live | p99", "seconds", (Query("a{}", "p99"),), "Event to signal.")
    return Reading(panel, (line("p99", *values), line("limit", *[limit] * len(values), is_limit=True)))


def states(*values: float) -> Reading:
    panel = Panel("Job", "state", (Query("a{}", "job"),), "d", kind="states", states=UP)
    return Reading(panel, (line("job", *values),))


EMPTY = Reading(Panel("Rejected", "per second", (Query("a{}", "a"),), "d"), (), "none before the first one")
NONE = Reading(Panel("Calls", "count", (Query("a{}", "a"),), "d", when_none="nobody calls"), (), "nobody calls")
NOW = Reading(Panel("Age", "seconds", (Query("a{}", "a"),), "d", kind="now"), (line("age", 4.0),))


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (latency(0.1, 0.2), "ok"),
        (latency(0.1, 0.7), "above the limit"),
        (latency(0.7, 0.1), "ok"),
        (EMPTY, "no data"),
        (NONE, "none"),
        (states(0.0, 1.0), "running"),
        (states(1.0, 0.0), "down"),
        (states(1.0, NAN), "no data"),
        (NOW, ""),
    ],
)
def test_the_newest_value_is_judged_by_its_limit_or_its_state(reading: Reading, expected: str) -> None:
    assert verdict(reading) == expected


def test_the_page_says_what_is_above_its_limit_what_is_empty_and_why() -> None:
    text = page({"Readers": [latency(0.1, 0.7), EMPTY], "Job": [states(0.0, 1.0)]}, ASKED, "http://prometheus")
    assert "from http://prometheus" in text
    assert "![All panels](report.png)" in text
    assert "## Above the limit now\n\n- **Live \\| p99**: Event to signal." in text
    assert "## Without data\n\n- **Rejected**: none before the first one" in text
    assert "| Live \\| p99 | p99 | 700 ms | 700 ms | 500 ms | above the limit |" in text
    assert "| Rejected | | | |  | no data |" in text
    assert "| Job | job | running | running |  |  |" in text


def test_a_page_without_faults_speaks_of_none() -> None:
    text = page({"Job": [states(1.0, 1.0), NONE]}, ASKED, "http://prometheus")
    assert "| Calls | | | |  | none |" in text
    assert "Above" not in text
    assert "Without" not in text


def test_the_picture_has_all_panels_in_it(tmp_path: Path) -> None:
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    draw({"Now": [NOW], "Readers": [latency(0.1, NAN, 0.4)]}, ASKED, [], one)
    draw({"Now": [NOW], "Readers": [latency(0.1)] * 3 + [EMPTY], "Job": [states(0.0, 1.0)]}, ASKED, [], two)
    heights = [imread(file).shape[0] for file in (one, two)]
    assert heights[1] > 2 * heights[0]


def axes_of(reading: Reading, *opened: tuple[float, float]) -> object:
    axes = Figure().subplots()
    draw_panel(axes, reading, SPAN, opened)
    return axes


def texts(axes: object) -> list[str]:
    legend = axes.get_legend()  # type: ignore[attr-defined]
    return [text.get_text() for text in legend.get_texts()]


def test_a_line_is_named_with_its_newest_and_its_largest_value() -> None:
    assert texts(axes_of(latency(0.3, 0.1))) == ["p99: 100 ms, max 300 ms", "limit: 500 ms"]


def test_a_limit_that_is_far_above_is_told_and_does_not_press_the_line_to_the_ground() -> None:
    axes = axes_of(latency(0.01, 0.02, limit=20.0))
    assert texts(axes)[1] == "limit: 20.0 s, far above"
    assert axes.get_ylim()[1] < 0.1  # type: ignore[attr-defined]
    near = axes_of(latency(0.01, 0.02, limit=0.04))
    assert near.get_ylim()[1] > 0.04  # type: ignore[attr-defined]


def test_of_many_lines_the_largest_have_a_name_and_the_others_are_counted() -> None:
    panel = Panel("p", "count", (), "d", thresholds=(Threshold(3.0, "critical", "TaSomething"),))
    found = texts(axes_of(Reading(panel, tuple(line(f"s{n}", float(n)) for n in range(20)))))
    assert [text.partition(":")[0] for text in found] == [
        *(f"s{n}" for n in range(14, 20)),
        "and 14 more",
        "TaSomething",
    ]


def test_a_panel_without_data_says_why_in_its_place() -> None:
    axes = axes_of(EMPTY)
    assert any("none before the first one" in text.get_text() for text in axes.texts)  # type: ignore[attr-defined]


def test_of_many_states_the_first_are_drawn_and_the_others_are_counted() -> None:
    panel = Panel("Calls", "state", (), "d", kind="states", states=(State(1, "calls", "critical"),))
    axes = axes_of(Reading(panel, tuple(line(f"Ta{n}", 1.0, 1.0) for n in range(9))))
    drawn = [text.get_text() for text in axes.texts]  # type: ignore[attr-defined]
    assert drawn == [*(f"Ta{n}" for n in range(5)), "and 4 more"]


def test_what_calls_now_is_drawn_before_what_called_earlier() -> None:
    panel = Panel("Calls", "state", (), "d", kind="states", states=(State(1, "calls", "critical"),))
    earlier = tuple(line(f"Ta{n}", 1.0, NAN) for n in range(9))
    drawn = axes_of(Reading(panel, (*earlier, line("TaNow", 1.0, 1.0)))).texts  # type: ignore[attr-defined]
    assert drawn[0].get_text() == "TaNow"


def test_a_panel_that_may_be_empty_says_what_that_means_and_does_not_miss_data() -> None:
    assert [text.get_text() for text in axes_of(NONE).texts] == ["nobody calls"]  # type: ignore[attr-defined]


def test_a_state_lasts_from_point_to_point_and_one_that_has_just_begun_is_seen() -> None:
    found = spells(Line("a", ((10.0, 1.0), (15.0, 1.0), (20.0, NAN), (25.0, 1.0), (30.0, 0.0))), 5.0)
    assert found == [(5.0, 15.0, 1.0), (20.0, 25.0, 1.0), (25.0, 30.0, 0.0)]


def test_the_session_is_shaded_where_it_was_open() -> None:
    closed, opened = axes_of(latency(0.1, 0.2)), axes_of(latency(0.1, 0.2), (SPAN.start, SPAN.start + 60))
    assert len(opened.patches) == len(closed.patches) + 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.142, "seconds", "142 ms"),
        (0.0, "per second", "0/s"),
        (7.8, "per second", "7.8/s"),
        (12_345.0, "per second", "12.3k/s"),
        (3.02, "count", "3"),
        (0.834, "share", "83%"),
        (221_546.0, "bytes", "222 kB"),
        (NAN, "count", "-"),
    ],
)
def test_values_are_short_and_have_their_unit(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [60, 300, 900, 3_600, 7_200, 86_400, 5 * 86_400, 31 * 86_400])
def test_times_below_an_axis_are_round_and_neither_few_nor_many(seconds: float) -> None:
    ticks, _ = ticks_in(Span(SPAN.end - seconds, SPAN.end, 5.0))
    assert 3 <= len(ticks) <= 9


def test_what_is_too_long_below_a_panel_loses_of_its_name_not_of_its_values() -> None:
    cut, columns = labels_in(["a name that is longer than all others: 1.2/s, max 3/s", "b: 1/s, max 2/s"] * 3)
    assert columns == 2
    assert cut[0].endswith("…: 1.2/s, max 3/s")
    assert max(map(len, cut)) <= 36
    assert labels_in(["short: 1", "also: 2"]) == (["short: 1", "also: 2"], 2)
