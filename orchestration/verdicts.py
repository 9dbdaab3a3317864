"""Problems as the result of an asset check."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import dagster as dg


def verdict(
    problems: Sequence[str], fine: str, metadata: Mapping[str, dg.MetadataValue] = MappingProxyType({})
) -> dg.AssetCheckResult:
    """Passed when there is no problem; the description has each of them, else `fine`."""
    return dg.AssetCheckResult(
        passed=not problems,
        description="\n".join(problems) or fine,
        metadata={"problems": len(problems), **metadata},
    )
