"""Where partitions begin and end; a partition that has no leader for a moment, as one of a new topic, is waited for."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from ta_pipeline.kafka_refusals import Refusals, ask


def ends_of(consumer: Consumer, refusals: Refusals, place: TopicPartition, timeout_seconds: float) -> tuple[int, int]:
    """The first offset of a partition and the end: of a committed reader, the end of what is committed.

    Raises:
        KafkaSetupError: the broker refused, or did not answer in time.
    """

    def question(seconds: float) -> tuple[int, int]:
        found = consumer.get_watermark_offsets(place, timeout=seconds, cached=False)
        if found is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return found

    return ask(consumer, refusals, question, timeout_seconds)


def offsets_at(
    consumer: Consumer, refusals: Refusals, times: Sequence[TopicPartition], timeout_seconds: float
) -> list[TopicPartition]:
    """Of each partition, the first record that Kafka took at a time or later; a negative offset: there is none.

    Args:
        consumer: asks.
        refusals: what it is told.
        times: partitions, with epoch milliseconds as their offset.
        timeout_seconds: longest wait.

    Raises:
        KafkaSetupError: the broker refused, or did not answer in time.
    """
    asked = list(times)

    def question(seconds: float) -> list[TopicPartition]:
        found: list[TopicPartition] = consumer.offsets_for_times(asked, timeout=seconds)
        return found

    return ask(consumer, refusals, question, timeout_seconds) if asked else []
