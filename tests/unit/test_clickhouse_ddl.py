from __future__ import annotations

import pytest

from ta_pipeline.clickhouse_ddl import is_repeatable


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE IF NOT EXISTS a.b (n Int8 DEFAULT 1, m String) ENGINE = MergeTree ORDER BY n",
        "create  table\n if not exists `a`.`b; c` (n Int8)",
        "CREATE VIEW IF NOT EXISTS a.v AS SELECT * FROM a.b FINAL",
        "DROP TABLE IF EXISTS a.b",
        "ALTER TABLE a.b -- why, and\n ADD COLUMN IF NOT EXISTS d Decimal(9, 2) DEFAULT if(n > 0, 1, 2)",
        "ALTER TABLE a.b ON CLUSTER c ADD COLUMN IF NOT EXISTS d Int8",
        "ALTER TABLE a.b COMMENT COLUMN n 'it''s -- not, DROP COLUMN m', MODIFY COLUMN m LowCardinality(String)",
    ],
)
def test_what_leaves_the_same_behind_is_repeatable(statement: str) -> None:
    assert is_repeatable(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE a.b (n Int8) ENGINE = Memory",
        "CREATE TABLE a.b (n Int8 COMMENT 'IF NOT EXISTS') ENGINE = Memory",
        "CREATE /* IF NOT EXISTS */ TABLE a.b (n Int8)",
        "DROP TABLE a.b",
        "INSERT INTO a.b SELECT 1",
        "ALTER TABLE a.b ADD COLUMN d Int8",
        "ALTER TABLE a.b ADD COLUMN IF NOT EXISTS d Int8, ADD COLUMN e Decimal(9, 2)",
        "ALTER TABLE a.b DELETE WHERE n = 1",
        "ALTER TABLE a.b MODIFY COLUMN n REMOVE DEFAULT",
        "GRANT SELECT ON a.b TO c",
        "",
    ],
)
def test_what_is_not_known_to_be_repeatable_is_not(statement: str) -> None:
    assert not is_repeatable(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE OR REPLACE TABLE a.b (n Int8) ENGINE = Memory",
        "CREATE TABLE IF NOT EXISTS a.b ENGINE = Memory AS SELECT * FROM a.c",
        "CREATE TABLE IF NOT EXISTS a.b ENGINE = Memory AS (SELECT * FROM a.c)",
        "CREATE TABLE IF NOT EXISTS a.b ENGINE = Memory AS\nWITH 1 AS x SELECT x",
        "CREATE MATERIALIZED VIEW IF NOT EXISTS a.v ENGINE = MergeTree ORDER BY n POPULATE AS SELECT n FROM a.c",
        "TRUNCATE TABLE IF EXISTS a.b",
    ],
)
def test_what_could_lose_rows_on_the_way_is_not_repeatable(statement: str) -> None:
    assert not is_repeatable(statement)
