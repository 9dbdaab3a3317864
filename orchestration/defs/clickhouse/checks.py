"""Tables are as the migrations declare them (blocks the rollout), the disk has room, inserts are not too small."""

import dagster as dg

from orchestration.defs.clickhouse.assets import clickhouse_tables
from orchestration.failures import explained
from orchestration.resources import PlatformResource
from orchestration.tables import table
from orchestration.verdicts import verdict
from ta_pipeline.clickhouse_drift import GIB, part_problems, parts, space_problems, spaces, table_drift
from ta_pipeline.preflight import table_problems

LEAST_FREE_BYTES = 1 * GIB
"""A day of the default market is far smaller; merges need room for a copy of their parts."""
LEAST_FREE_SHARE = 0.05
MOST_PARTS = 150
"""ClickHouse delays inserts at 1,000 active parts in a partition (`parts_to_delay_insert`): this is long before."""
_OFF = "TA_CLICKHOUSE_URL is empty: there is no table path"


@dg.asset_check(asset=clickhouse_tables, blocking=True)
def tables_as_declared(platform: PlatformResource) -> dg.AssetCheckResult:
    """Columns, codecs, engine, order key and TTL of every table are those of the migrations, which were all applied."""
    if not platform.settings.clickhouse_url:
        return verdict([], _OFF)
    with explained():
        problems = table_problems(platform.settings) or table_drift(platform.settings)
    return verdict(problems, "every table is as the migrations declare it")


@dg.asset_check(asset=clickhouse_tables)
def disk_has_room(platform: PlatformResource) -> dg.AssetCheckResult:
    """A full disk ends the table path."""
    if not platform.settings.clickhouse_url:
        return verdict([], _OFF)
    with explained():
        found = spaces(platform.settings)
    rows = [(space.disk, round(space.free / GIB, 2), round(space.total / GIB, 2)) for space in found]
    problems = space_problems(found, LEAST_FREE_BYTES, LEAST_FREE_SHARE)
    return verdict(problems, "every disk has room", {"disks": table(("disk", "free GiB", "total GiB"), rows)})


@dg.asset_check(asset=clickhouse_tables)
def parts_are_few(platform: PlatformResource) -> dg.AssetCheckResult:
    """Too many parts: inserts are too small, or merges stand still; in the end ClickHouse refuses inserts."""
    if not platform.settings.clickhouse_url:
        return verdict([], _OFF)
    with explained():
        found = parts(platform.settings)
    rows = [(part.table, part.most_in_partition, part.active, part.rows, part.bytes) for part in found]
    columns = ("table", "most parts in a partition", "parts", "rows", "bytes")
    problems = part_problems(found, MOST_PARTS)
    return verdict(problems, "no partition has too many parts", {"parts": table(columns, rows)})
