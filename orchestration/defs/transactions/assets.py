"""`kafka_transactions`: what `ta doctor` finds, as an asset with a check for each question."""

from collections.abc import Iterator

import dagster as dg

from orchestration.keys import JOB
from orchestration.resources import NowResource, PlatformResource
from orchestration.tables import table
from ta_pipeline.monitoring.verdicts import Verdict
from ta_pipeline.transactions.doctor import Report, examine
from ta_pipeline.transactions.verdicts import QUESTIONS

ASSET = "kafka_transactions"


@dg.asset(
    name=ASSET,
    group_name="transactions",
    kinds={"kafka"},
    deps=[JOB],
    check_specs=[dg.AssetCheckSpec(name, asset=ASSET, description=holds) for name, holds in QUESTIONS.items()],
)
def kafka_transactions(platform: PlatformResource, now_ms: NowResource) -> Iterator[dg.MaterializeResult[None]]:
    """Open transactions by prefix with their age, and whether committed readers go on; it changes nothing.

    `ta doctor --abort ID` ends one that hangs.
    """
    report = examine(platform.settings, now_ms)
    yield dg.MaterializeResult(metadata=_shown(report), check_results=[_result(one) for one in report.verdicts])


def _result(verdict: Verdict) -> dg.AssetCheckResult:
    explained = {"caused_by": verdict.caused_by} if verdict.caused_by else {}
    return dg.AssetCheckResult(
        check_name=verdict.name,
        passed=verdict.is_well,
        severity=dg.AssetCheckSeverity.ERROR if verdict.calls else dg.AssetCheckSeverity.WARN,
        description=verdict.message,
        metadata={"state": verdict.state, **verdict.figures, **explained},
    )


def _shown(report: Report) -> dict[str, dg.TableMetadataValue | int]:
    shown = report.to_dict()
    prefixes = [
        (one["prefix"], one["owner"], one["owned_by"], one["ids"], len(one["open"])) for one in shown["prefixes"]
    ]
    opened = [
        (one["id"], prefix["owner"], one["age_s"], one["state"], one["timeout_ms"], ", ".join(one["partitions"]))
        for prefix in shown["prefixes"]
        for one in prefix["open"]
    ]
    behind = [
        (one["topic"], one["partition"], one["stable"], one["end"], one["stands_still"])
        for one in shown["partitions"]
        if one["stable"] < one["end"]
    ]
    return {
        "open transactions": table(("id", "owner", "age_s", "state", "timeout_ms", "partitions"), opened),
        "partitions behind": table(("topic", "partition", "last stable offset", "end", "stands still"), behind),
        "prefixes": table(("prefix", "owner", "whose", "ids", "open"), prefixes),
        "open": len(opened),
    }
