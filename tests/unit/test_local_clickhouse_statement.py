from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.local.clickhouse_statement import Statement, output_format, split

ROWS = b'{"n": 1}\n{"n": 2}\n'


@pytest.mark.parametrize(
    ("query", "body"),
    [
        (b"INSERT INTO t FORMAT JSONEachRow", ROWS),
        (b"", b"INSERT INTO t FORMAT JSONEachRow\n" + ROWS),
        (b"insert into t format JSONEachRow ", ROWS),
        (b"/* why */ INSERT INTO t -- FORMAT CSV\nFORMAT JSONEachRow\n" + ROWS[:9], ROWS[9:]),
    ],
)
def test_an_insert_is_taken_apart_wherever_its_data_begins(query: bytes, body: bytes) -> None:
    found = split(query, body)
    assert found.sql.upper().split("--", maxsplit=1)[0].strip().removeprefix("/* WHY */ ") == "INSERT INTO T"
    assert (found.data, found.data_format) == (ROWS, "JSONEachRow")


def test_column_names_and_quotes_do_not_end_the_statement() -> None:
    found = split(b"INSERT INTO `a FORMAT b` (\"x FORMAT y\", format) SETTINGS a = 'FORMAT' FORMAT CSV", b"1,2\n")
    assert found.data == b"1,2\n"
    assert found.data_format == "CSV"
    assert found.sql.endswith("SETTINGS a = 'FORMAT'")


@given(data=st.binary(max_size=200))
def test_binary_data_is_kept_byte_for_byte(data: bytes) -> None:
    assert split(b"INSERT INTO t FORMAT RowBinary", data).data == data
    assert split(b"", b"INSERT INTO t FORMAT RowBinary\n" + data).data == data


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT 1",
        b"INSERT INTO t SELECT * FROM u FORMAT Null",
        b"INSERT INTO t VALUES (1, 'FORMAT x')",
        b"CREATE TABLE t",
    ],
)
def test_every_other_statement_is_left_whole(text: bytes) -> None:
    assert split(text, b"") == Statement(text.decode())
    assert split(b"", text) == Statement(text.decode())


def test_an_insert_without_a_format_takes_that_of_the_request() -> None:
    assert split(b"INSERT INTO t (n);", ROWS, "JSONEachRow") == Statement("INSERT INTO t (n)", ROWS, "JSONEachRow")
    assert split(b"INSERT INTO t (n)", b"(1), (2)") == Statement("INSERT INTO t (n) VALUES (1), (2)")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1", "TabSeparated"),
        ("SELECT 1 FORMAT Native", "Native"),
        ("SELECT 1 format JSON;", "JSON"),
        ("SELECT 1 FORMAT JSON SETTINGS max_threads = 1", "JSON"),
        ("SELECT 'FORMAT CSV'", "TabSeparated"),
    ],
)
def test_a_query_that_names_its_format_gets_it(sql: str, expected: str) -> None:
    assert output_format(sql, "TabSeparated") == expected
