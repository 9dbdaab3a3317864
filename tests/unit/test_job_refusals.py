"""What Flink tells of a refusal becomes the setting to look at; the texts are those of the clients, as they came."""

from __future__ import annotations

import pytest

from ta_pipeline.job_refusals import explained
from ta_pipeline.settings import load_settings

SETTINGS = load_settings(kafka_username="somebody", kafka_bootstrap="kafka:9093", transactional_id_prefix="ta-x")


@pytest.mark.parametrize(
    ("exception", "told"),
    [
        (
            "org.apache.flink.kafka.shaded.org.apache.kafka.common.errors.SaslAuthenticationException: Authentication "
            "failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512",
            "Kafka refused user 'somebody': look at TA_KAFKA_USERNAME, TA_KAFKA_PASSWORD and TA_KAFKA_SASL_MECH",
        ),
        (
            "java.security.cert.CertPathValidatorException: validity check failed\nCaused by: "
            "java.security.cert.CertificateExpiredException: NotAfter: Tue Nov 24 17:35:36 UTC 2026",
            "the certificate of kafka:9093 is not valid now",
        ),
        (
            "sun.security.provider.certpath.SunCertPathBuilderException: unable to find valid certification path to "
            "requested target",
            "look at TA_KAFKA_CA_FILE",
        ),
        (
            "java.security.cert.CertificateException: No subject alternative names matching IP address 127.0.0.1 found",
            "is for another host: look at TA_KAFKA_BOOTSTRAP",
        ),
        (
            "org.apache.kafka.common.errors.TopicAuthorizationException: Not authorized to access topics: [a.b]",
            "user 'somebody' lacks an access rule for the topic: docs/security.md",
        ),
        (
            "org.apache.kafka.common.errors.GroupAuthorizationException: Not authorized to access group: flink-ta",
            "user 'somebody' lacks an access rule for the consumer group",
        ),
        (
            "org.apache.kafka.common.errors.TransactionalIdAuthorizationException: Transactional Id authorization "
            "failed.",
            "user 'somebody' lacks an access rule for transactional ids that begin with 'ta-x'",
        ),
        (
            "com.amazonaws.services.s3.model.AmazonS3Exception: The request signature we calculated does not match the "
            "signature you provided. Check your key and signing method. (Service: Amazon S3; Status Code: 403; Error "
            "Code: SignatureDoesNotMatch; Request ID: 1884CB7D1CC9C400)",
            "look at TA_S3_ACCESS_KEY and TA_S3_SECRET_KEY",
        ),
        (
            "Caused by: java.lang.ClassNotFoundException: com.amazonaws.services.s3.model.AmazonS3Exception",
            "S3 refused the JobManager, and its log says what: look at TA_S3_ACCESS_KEY and TA_S3_SECRET_KEY",
        ),
        (
            "com.clickhouse.client.api.ServerException: Code: 516. DB::Exception: default: Authentication failed: "
            "password is incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)",
            "look at TA_CLICKHOUSE_USERNAME and TA_CLICKHOUSE_PASSWORD",
        ),
        (
            "io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException: Unauthorized; error code: "
            "401",
            "look at TA_SCHEMA_REGISTRY_USERNAME and TA_SCHEMA_REGISTRY_PASSWORD",
        ),
    ],
)
def test_a_refusal_names_the_setting(exception: str, told: str) -> None:
    shown = explained(SETTINGS, exception)
    assert shown.startswith(exception)
    assert told in shown.removeprefix(exception)


@pytest.mark.parametrize(
    "exception",
    ["java.lang.RuntimeException: broken on purpose", "java.net.ConnectException: Connection refused", ""],
)
def test_what_is_no_refusal_stays_as_it_is(exception: str) -> None:
    assert explained(SETTINGS, exception) == exception


def test_no_secret_is_told() -> None:
    settings = load_settings(kafka_password="s3'cr3t")  # noqa: S106 - what must not be told
    shown = explained(settings, "java.lang.Exception: password=\"s3'cr3t\"; 'password' = 's3''cr3t'")
    assert shown == "java.lang.Exception: password=\"**********\"; 'password' = '**********'"
