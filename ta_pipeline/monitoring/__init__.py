"""One snapshot of everything, pure verdicts over it, one alert for each incident.

    snapshot   what Flink, Kafka, S3, ClickHouse and the probe say now, asked at the same time
    history    what some counters were in the last minutes
    verdicts   is it well? one pure function for each question, the numbers in its message
    incidents  when to tell a person: opened, still open, resolved
    channels   how: a webhook, the log

Dagster's sensor and checks, and `ta health`, are shells around these.
"""
