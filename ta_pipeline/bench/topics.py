"""Topics of a measurement's own: named before it, deleted after it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from ta_pipeline.kafka_admin import TIMEOUT_SECONDS
from ta_pipeline.kafka_config import client_config
from ta_pipeline.settings import Settings

PREFIX = "bench"


def renamed(base: Settings, token: str, shared: Collection[str] = ()) -> dict[str, str]:
    """The topics of `base`, by the names of their settings, each with a name of its own.

    Args:
        base: settings of the stack.
        token: begins with `PREFIX`; of this measurement only.
        shared: settings whose topics are not renamed.
    """
    topics = {field: value for field, value in base.model_dump().items() if field.endswith("_topic") and value}
    return {field: f"{token}.{value}" for field, value in topics.items() if field not in shared}


def delete_topics(settings: Settings) -> None:
    """Delete the topics that were made for a measurement; what cannot be deleted stays."""
    own: Iterable[str] = (value for field, value in settings.model_dump().items() if field.endswith("_topic"))
    names = [name for name in own if name.startswith(f"{PREFIX}-")]
    # A name of its own: the client has to outlive its futures.
    admin = AdminClient(client_config(settings, log_level=0))
    with contextlib.suppress(KafkaException):
        for future in admin.delete_topics(names, operation_timeout=TIMEOUT_SECONDS).values():
            with contextlib.suppress(KafkaException, TimeoutError):
                future.result(timeout=2 * TIMEOUT_SECONDS)
