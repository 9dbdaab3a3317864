"""The verdict of a replay as an asset check: red fails it, and the next rollout asks for it."""

import dagster as dg

from ta_pipeline.replay.validate import Replay

ASSET = "replay_validation"
VERDICT = dg.AssetCheckSpec(
    "replay_verdict",
    asset=ASSET,
    description="The job gave every bar and signal that the rules give, each value within its tolerance, and no other.",
)
_MOST_PROBLEMS = 20


def replay_verdict(replay: Replay) -> dg.AssetCheckResult:
    """The result for one replay; what is wrong is in the description."""
    verdict = replay.verdict
    problems = verdict.problems()
    examples = [str(example) for comparison in verdict.comparisons for example in comparison.examples()]
    return dg.AssetCheckResult(
        check_name=VERDICT.name,
        asset_key=VERDICT.asset_key,
        passed=verdict.is_green,
        severity=dg.AssetCheckSeverity.ERROR,
        description="\n".join(problems[:_MOST_PROBLEMS]) or verdict.summary(),
        metadata={
            "replay": replay.replay_id,
            "day": replay.day,
            "symbol": replay.symbol,
            "problems": len(problems),
            "examples": dg.MetadataValue.md("\n".join(f"- {example}" for example in examples) or "none"),
        },
    )
