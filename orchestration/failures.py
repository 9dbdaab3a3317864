"""An error of ours as Dagster shows it: what was wrong and what to do, without a stack trace of ours and no retry."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from ta_pipeline.errors import TaError


@contextmanager
def explained() -> Iterator[None]:
    """Turn a `TaError` into a `dagster.Failure`: it was refused on purpose, and trying again changes nothing."""
    try:
        yield
    except TaError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
