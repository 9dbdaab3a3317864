"""The newest savepoint is whole and can be read; that it can be restored, the drill shows."""

from datetime import UTC, datetime

import dagster as dg

from orchestration.defs.savepoints.assets import savepoint
from orchestration.failures import explained
from orchestration.resources import PlatformResource
from orchestration.verdicts import verdict
from ta_pipeline.savepoints.catalog import read_catalog, save_catalog
from ta_pipeline.savepoints.tools import state_reader
from ta_pipeline.savepoints.verify import judged, verify


@dg.asset_check(asset=savepoint)
def savepoint_verified(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """The newest savepoint lies complete in the store, and its metadata can be read."""
    settings = platform.settings
    with explained():
        catalog = read_catalog(settings)
        newest = catalog.newest
        if newest is None:
            return verdict([f"there is no savepoint in {settings.savepoint_dir}"], "")
        problems = verify(settings, newest, state_reader(platform))
        now = datetime.now(UTC)
        if trouble := save_catalog(settings, catalog.replaced(judged(newest, problems, now)), now):
            context.log.warning(f"the verdict is not kept: {trouble}")
    return verdict(
        [f"{newest.name}: {problem}" for problem in problems],
        f"{newest.name} is whole, and its metadata can be read",
        {
            "path": dg.MetadataValue.text(newest.path),
            "bytes": dg.MetadataValue.int(newest.bytes),
            "files": dg.MetadataValue.int(newest.files),
        },
    )
