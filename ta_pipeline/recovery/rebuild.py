"""What a job without state is told when it begins anew from its inputs: from where, and what is there already.

One object, `<TA_REVISION_DIR>/rebuilds/<id>.json`; the job's client reads it (`flink/job.py --rebuild`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import orjson

from ta_pipeline.errors import S3Error
from ta_pipeline.s3 import read_object, s3_client, write_object
from ta_pipeline.settings import Settings
from ta_pipeline.signals.published import Published


@dataclass(frozen=True)
class Rebuild:
    """One rebuild.

    Attributes:
        start_ms: the inputs are read from what Kafka took at this time on, epoch milliseconds; None: from the
            earliest that is retained.
        published: what the output topics hold.
    """

    start_ms: int | None
    published: Published

    @classmethod
    def load(cls, settings: Settings, uri: str) -> Self:
        """As `save` wrote it.

        Raises:
            S3Error: it is not there, is none, or the store cannot be reached.
        """
        try:
            found: dict[str, Any] = orjson.loads(read_object(s3_client(settings), uri))
            return cls(found["start_ms"], Published.load(found["published"]))
        except (KeyError, TypeError, ValueError) as error:
            raise S3Error(f"{uri} does not say how to rebuild the job: {error}; run `ta recover` again") from None

    def save(self, settings: Settings, uri: str) -> None:
        """Write it.

        Raises:
            S3Error: the store refused, or cannot be reached.
        """
        content = orjson.dumps({"start_ms": self.start_ms, "published": self.published.dump()})
        write_object(s3_client(settings), uri, content)
