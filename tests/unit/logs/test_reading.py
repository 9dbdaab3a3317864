"""`ta logs`: lines of all components by time, whoever wrote them, also while files are rotated and lines are torn."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ta_pipeline.cli import app
from ta_pipeline.errors import LogError
from ta_pipeline.instants import rfc3339
from ta_pipeline.logs.lines import parse
from ta_pipeline.logs.query import Query, answer, minimum_of, since_of
from ta_pipeline.logs.seeking import BLOCK_BYTES, LONGEST_BYTES
from ta_pipeline.logs.view import as_json, as_text, told
from tests.log_files import T0, Opening, followed, kafka, messages, own, write


@pytest.mark.parametrize(
    ("text", "time", "level"),
    [
        ("2026-07-21T14:00:00.250Z INFO  SocketServer up", "2026-07-21T14:00:00.250Z", "INFO"),
        ("2026-07-21T16:00:00.250+02:00 WARNING x", "2026-07-21T14:00:00.250Z", "WARN"),
        ("2026-07-21T14:00:00+00:00 the rollout begins", "2026-07-21T14:00:00.000Z", ""),
        ("2026-07+00-21 14:00:00 WARN [io.quarkus] (main) x", None, "WARN"),
        ("2026-07-21 14:00:00,123 CRIT Supervisor is running as root", None, "FATAL"),
    ],
    ids=["kafka", "zone", "former rollout", "registry", "supervisord"],
)
def test_time_and_level_of_foreign_lines_are_read_where_they_can_be(text: str, time: str | None, level: str) -> None:
    line = parse("x", text.encode() + b"\n")
    assert (line.message, line.level, line.is_foreign) == (text, level, True)
    assert line.at is not None
    if time is not None:
        assert rfc3339(line.at, "milliseconds") == time
    # Without a zone it is local time: the same hour on this machine's clock.
    assert json.loads(as_json(line))["message"] == text


@pytest.mark.parametrize(
    "raw", [b"", b"{", b'{"time": 1}', b"[1]", b"\xff\xfe\x00", b"9999-99-99 99:99:99 INFO x", b'{"message": "torn']
)
def test_a_line_that_is_broken_is_shown_as_it_is(raw: bytes) -> None:
    line = parse("kafka", raw)
    assert (line.is_foreign, line.at) == (True, None)
    assert line.message == raw.decode("utf-8", "replace")


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00", "10000-01-01T00:00:00Z"])
def test_a_time_that_has_no_date_in_utc_is_none(time: str) -> None:
    own_line = parse("clock", json.dumps({"time": time, "level": "INFO", "message": "m"}).encode())
    assert as_text(own_line).split() == ["clock", "INFO", "m"]
    assert json.loads(as_json(parse("kafka", f"{time} INFO m".encode()))) == {
        **({} if time.startswith("1") else {"level": "INFO"}), "message": f"{time} INFO m", "component": "kafka",
    }  # fmt: skip


@pytest.mark.parametrize(
    "begins",
    [
        "Traceback (most recent call last):",
        "  + Exception Group Traceback (most recent call last):",
        'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space',
    ],
)
def test_a_traceback_that_nobody_has_logged_is_an_error_with_all_its_lines(
    tmp_path: Path, log_of: Opening, begins: str
) -> None:
    crash = [begins, "  File x", "ValueError: no"]
    path = write(tmp_path / "a.log", own(T0, "mild"), *crash, own(T0 + 1, "mild again"))
    assert messages(answer([log_of(path)], Query(level="ERROR"))) == crash


def test_lines_of_a_former_version_are_understood() -> None:
    line = parse("taskmanager", b'{"ts":"2026-07-21T14:00:00.000Z","level":"WARN","message":"m","exception":"E"}')
    assert (line.at, line.level, line.fields["error"]) == (T0, "WARN", "E")


def test_lines_of_all_components_come_by_time(tmp_path: Path, log_of: Opening) -> None:
    broker = log_of(write(tmp_path / "kafka.log", kafka(T0, "one"), "\tat a traceback", kafka(T0 + 2, "two")), "kafka")
    job = log_of(write(tmp_path / "t.log", own(T0 + 1, "between"), own(T0 + 3, "last")), "taskmanager")
    found = list(answer([job, broker], Query()))
    assert [line.component for line in found] == ["kafka", "kafka", "taskmanager", "kafka", "taskmanager"]
    # What has no time belongs to the line before it.
    assert found[1].message == "\tat a traceback"
    assert found[1].at == T0


def test_only_lines_about_the_symbol_since_then_and_grave_enough_are_shown(tmp_path: Path, log_of: Opening) -> None:
    path = write(
        tmp_path / "t.log",
        own(T0, "old", symbol="NVDA"),
        own(T0 + 9, "wanted", "WARN", symbol="NVDA"),
        own(T0 + 9, "other", "WARN", symbol="NVDA.B"),
        own(T0 + 9, "mild", symbol="NVDA"),
        kafka(T0 + 9, "NVDA", "ERROR"),
    )
    here = Query("NVDA", "WARN", T0 + 5)
    assert messages(answer([log_of(path, "t")], here)) == ["wanted"]
    assert messages(answer([log_of(path, "t")], Query(level="ERROR"))) == [kafka(T0 + 9, "NVDA", "ERROR")]
    assert messages(answer([log_of(path, "t")], Query(symbol="NVDA"), last=2)) == ["wanted", "mild"]


def test_rotated_files_are_read_in_their_order(tmp_path: Path, log_of: Opening) -> None:
    for suffix, first in ((".10", 0), (".2", 1), (".1", 2), ("", 3)):
        write(tmp_path / f"kafka.log{suffix}", own(T0 + first, str(first)))
    write(tmp_path / "kafka.log.bak", "not ours")
    file = log_of(tmp_path / "kafka.log", "kafka")
    assert messages(answer([file], Query())) == ["0", "1", "2", "3"]
    for count in range(1, 5):
        last = answer([log_of(tmp_path / "kafka.log", "kafka")], Query(), last=count)
        assert messages(last) == ["0", "1", "2", "3"][-count:]


def test_the_last_lines_are_found_however_they_lie_to_the_blocks_that_are_read(tmp_path: Path, log_of: Opening) -> None:
    lines = [own(T0 + number, f"{number} " + "x" * (number * 37 % 500)) for number in range(2_000)]
    path = write(tmp_path / "a.log", *lines)
    assert path.stat().st_size > 5 * BLOCK_BYTES
    whole = messages(answer([log_of(path, "a")], Query()))
    assert len(whole) == 2_000
    for count in (1, 7, 263, 264, 1_999, 2_000, 3_000):
        assert messages(log_of(path, "a").lines(last=count)) == whole[-count:]


def test_the_first_line_since_then_is_found_in_the_middle_of_a_large_file(tmp_path: Path, log_of: Opening) -> None:
    lines = [own(T0 + number, str(number), logger="x" * 400) for number in range(2_000)]
    path = write(tmp_path / "a.log", "banner without a time", *lines)
    for since in (1, 777, 1_998, 1_999):
        found = answer([log_of(path, "a")], Query(since=T0 + since))
        assert messages(found) == [str(number) for number in range(since, 2_000)]
    passed_over = 2_000 - len(list(log_of(path, "a").lines(since=T0 + 1_900)))
    assert passed_over > 1_500


def test_a_line_without_end_comes_in_pieces(tmp_path: Path, log_of: Opening) -> None:
    path = write(tmp_path / "a.log", "x" * (2 * LONGEST_BYTES + 5), own(T0, "behind it"))
    assert [len(message) for message in messages(log_of(path, "a").lines())] == [
        LONGEST_BYTES, LONGEST_BYTES, 5, len("behind it"),
    ]  # fmt: skip


def test_followed_is_what_is_added_over_rotations_and_torn_lines(tmp_path: Path, log_of: Opening) -> None:
    path = write(tmp_path / "a.log", own(T0, "before"))
    file, new = log_of(path, "a"), tmp_path / "new.log"
    assert messages(answer([file], Query())) == ["before"]

    def rotate() -> None:
        write(path, own(T0 + 3, "at the last moment"))
        path.rename(tmp_path / "a.log.1")
        write(path, own(T0 + 4, "in the new file"))

    found = followed(
        [file, log_of(new, "new")],
        Query(),
        lambda: write(path, own(T0 + 1, "whole"), '{"message": "to', ending=""),
        lambda: write(path, 'rn"}'),
        rotate,
        lambda: write(new, own(T0 + 5, "of a component that is new")),
        lambda: os.truncate(path, 0),
        lambda: write(path, own(T0 + 6, "emptied")),
    )
    assert found == [
        "whole", "torn", "at the last moment", "in the new file", "of a component that is new", "emptied",
    ]  # fmt: skip


def test_followed_are_only_the_lines_that_were_asked_for(tmp_path: Path, log_of: Opening) -> None:
    file = log_of(tmp_path / "a.log", "a")
    added = [own(T0, "NVDA's", symbol="NVDA"), own(T0, "AAPL's", symbol="AAPL")]
    assert followed([file], Query(symbol="NVDA"), lambda: write(file.path, *added)) == ["NVDA's"]


def test_since_is_a_duration_or_a_time() -> None:
    now = T0 + 86_400
    assert [since_of(text, now) for text in ("90s", "5m", "1.5h", "1d")] == [now - 90, now - 300, now - 5_400, T0]
    assert since_of("2026-07-21T14:00:00Z", now) == T0
    assert since_of("2026-07-21T16:00:00+02:00", now) == T0


@pytest.mark.parametrize("text", ["5", "5 minutes", "-5m", "yesterday", "20260721", "2026-13-01"])
def test_a_since_that_is_neither_is_refused(text: str) -> None:
    with pytest.raises(LogError, match=r"it is a duration \(90s, 5m, 2h, 1d\) or a time"):
        since_of(text, T0)


def test_a_level_is_named_as_python_or_log4j_names_it() -> None:
    assert [minimum_of(text) for text in ("warn", "WARNING", "critical", "INFO")] == ["WARN", "WARN", "FATAL", "INFO"]
    with pytest.raises(LogError, match="it is one of TRACE, DEBUG, INFO, WARN, ERROR, FATAL"):
        minimum_of("loud")


def test_a_line_is_shown_with_what_it_is_about_and_its_traceback_below() -> None:
    raw = own(T0, "late", "WARN", logger="ta.signals", symbol="NVDA", lag_ms=2_100, error="E\n\tat x\n", thread="t")
    line = parse("taskmanager", raw.encode())
    assert as_text(line) == (
        "taskmanager  2026-07-21T14:00:00.000Z WARN  signals: late symbol=NVDA lag_ms=2100\nE\n\tat x"
    )
    assert json.loads(as_json(line)) == {**json.loads(raw), "component": "taskmanager"}


def test_what_a_terminal_would_obey_is_shown_and_not_done() -> None:
    evil, shown = "a\x1b[2J\r\x07\x9b1m\u202ez\tb", r"a\x1b[2J\x0d\x07\x9b1m\u202ez" + "\tb"
    line = parse("kafka", evil.encode())
    assert as_text(line, with_component=False) == shown
    assert told(evil) == shown
    line = parse("t", own(T0, evil, symbol=evil + "\nb", error=f"E\n{evil}").encode())
    assert as_text(line, with_component=False) == (
        f"2026-07-21T14:00:00.000Z INFO  {shown} symbol={shown}\\nb\nE\n{shown}"
    )
    assert told(own(T0, evil)) == f"2026-07-21T14:00:00.000Z {shown}"


def test_who_follows_a_rollout_reads_sentences() -> None:
    assert told(own(T0, "it begins", logger="ta.rollout")) == "2026-07-21T14:00:00.000Z it begins"
    assert told("Traceback (most recent call last):") == "Traceback (most recent call last):"


class TestCommand:
    """`ta logs` on files of a stack that need not run."""

    @pytest.fixture(autouse=True)
    def stack(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TA_LOCAL_DIR", str(tmp_path))
        write(tmp_path / "logs" / "kafka.log", *(kafka(T0 + number, f"n{number}") for number in range(60)))
        write(tmp_path / "logs" / "taskmanager.log", own(T0 + 30.5, "late", "WARN", symbol="NVDA"))
        write(tmp_path / "rollouts" / "abc.log", own(T0 + 61, "it begins", rollout="abc"))

    @staticmethod
    def run(*arguments: str) -> list[str]:
        result = CliRunner().invoke(app, ["logs", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    def test_the_last_fifty_lines_of_all_components_are_shown(self) -> None:
        lines = self.run()
        assert len(lines) == 50
        assert lines[-1].startswith("rollout ")
        assert sum(line.startswith("taskmanager ") for line in lines) == 1

    def test_one_component_has_no_name_before_its_lines(self) -> None:
        assert self.run("kafka", "-n", "1") == [kafka(T0 + 59, "n59")]
        assert len(self.run("kafka", "-n", "0")) == 60

    def test_lines_about_a_symbol_are_found_in_whatever_component(self) -> None:
        (line,) = self.run("--symbol", "NVDA", "--since", "2026-07-21T14:00:00Z", "--json")
        assert json.loads(line) == {
            "time": "2026-07-21T14:00:30.500Z", "level": "WARN", "message": "late", "symbol": "NVDA",
            "component": "taskmanager",
        }  # fmt: skip

    def test_since_shows_all_from_then_on(self) -> None:
        assert len(self.run("kafka", "flink", "--since", "2026-07-21T14:00:05Z")) == 56

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["kafak"], "no such component: kafak; there are kafka, registry,"),
            (["--since", "soon"], "--since is 'soon'; it is a duration (90s, 5m, 2h, 1d) or a time"),
            (["--level", "loud"], "--level is 'loud'; it is one of TRACE, DEBUG,"),
        ],
    )
    def test_what_is_not_known_is_refused_with_what_is(self, arguments: list[str], says: str) -> None:
        result = CliRunner().invoke(app, ["logs", *arguments])
        assert result.exit_code == 2
        assert says in " ".join(result.output.split())

    def test_a_component_that_has_not_logged_is_told(self) -> None:
        result = CliRunner().invoke(app, ["logs", "probe"])
        assert result.exit_code == 1
        assert "probe: not logged yet" in result.output
        assert result.stdout == ""

    @staticmethod
    def told(*arguments: str) -> tuple[int, str]:
        """Exit status and what was said on standard error, where nothing was found."""
        result = CliRunner().invoke(app, ["logs", *arguments])
        assert result.stdout == ""
        return result.exit_code, " ".join(result.stderr.split())

    def test_a_stack_that_is_not_there_is_told_with_the_folders(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TA_LOCAL_DIR", str(tmp_path / "elsewhere"))
        status, said = self.told()
        assert status == 1
        assert f"no file in {tmp_path}/elsewhere/logs and {tmp_path}/elsewhere/rollouts; `ta up` starts" in said
        status, said = self.told("rollout", "--since", "5m", "--level", "ERROR")
        assert (status, f"no file in {tmp_path}/elsewhere/rollouts; " in said) == (1, True)
        assert "TA_LOCAL_DIR" in said

    def test_files_that_cannot_be_read_are_named(self, tmp_path: Path) -> None:
        # A folder where the file should be: it is refused to everybody.
        (tmp_path / "logs" / "probe.log").mkdir()
        result = CliRunner().invoke(app, ["logs", "probe", "kafka", "-n", "1"])
        assert (result.exit_code, result.stdout.split()[0]) == (0, "kafka")
        assert f"not shown: {tmp_path}/logs/probe.log: Is a directory" in " ".join(result.stderr.split())
        status, said = self.told("probe")
        assert (status, f"no log in {tmp_path}/logs can be read; ask as the user" in said) == (1, True)

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--level", "FATAL"], "no line matches --level FATAL"),
            (["kafka", "--since", "0s"], "no line matches --since 0s"),
            (["--symbol", "XYZ", "--level", "INFO"], "no line matches --symbol XYZ --level INFO"),
            (["--symbol", "nvda"], "no line matches --symbol nvda; symbols are upper case: --symbol NVDA"),
        ],
    )
    def test_where_no_line_matches_that_is_told(self, arguments: list[str], says: str) -> None:
        assert self.told(*arguments) == (0, says)

    def test_a_moment_that_has_not_come_is_refused(self) -> None:
        status, said = self.told("--since", "2999-01-01T00:00:00Z")
        assert status == 2
        assert "--since is '2999-01-01T00:00:00Z', which has not come yet: it is 2" in said
        assert "it is a duration (90s, 5m, 2h, 1d) or a time that has passed" in said
