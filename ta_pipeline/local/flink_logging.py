"""How Flink logs: to the console, one JSON object a line; the supervisor keeps and rotates the file."""

from __future__ import annotations

import json

from ta_pipeline.logs.log4j import template

LOG4J = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
appender.console.name = console
appender.console.type = CONSOLE
appender.console.layout.type = JsonTemplateLayout
appender.console.layout.eventTemplateUri = @TEMPLATE@
logger.pekko.name = org.apache.pekko
logger.pekko.level = INFO
logger.kafka.name = org.apache.kafka
logger.kafka.level = WARN
logger.shaded_kafka.name = org.apache.flink.kafka.shaded.org.apache.kafka
logger.shaded_kafka.level = WARN
# It says when a reader was away for longer than its topic keeps records, and which ones it did not get.
logger.kafka_reset.name = \
org.apache.flink.kafka.shaded.org.apache.kafka.clients.consumer.internals.FetchCollector
logger.kafka_reset.level = INFO
# It tells of every transaction that it begins, twice.
logger.producer.name = org.apache.flink.connector.kafka.sink.internal.FlinkKafkaInternalProducer
logger.producer.level = WARN
logger.hadoop.name = org.apache.hadoop
logger.hadoop.level = WARN
# The Kafka sink's committer registers one metric twice, on every start of every sink.
logger.metrics.name = org.apache.flink.metrics.MetricGroup
logger.metrics.level = ERROR
logger.netty.name = org.jboss.netty.channel.DefaultChannelPipeline
logger.netty.level = OFF
"""

TEMPLATE = json.dumps(template(), indent=2) + "\n"
"""What a line has: the fields of the table (`ta_pipeline.logs.fields`)."""
