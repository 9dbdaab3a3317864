"""What a failed job was refused, and which setting to look at: Flink tells an exception, whoever deployed wants a name.

The exceptions are those of Kafka's Java client, Hadoop's S3, ClickHouse's JDBC driver and the registry's client; the
platform's own Kafka clients have `ta_pipeline.kafka_refusals`.
"""

from __future__ import annotations

import re

from ta_pipeline.settings import Settings

_RULES = "docs/security.md lists the access rules"
_SIGNS = (
    (
        r"SaslAuthenticationException|invalid credentials with SASL",
        "Kafka refused user {user!r}: look at TA_KAFKA_USERNAME, TA_KAFKA_PASSWORD and TA_KAFKA_SASL_MECH",
    ),
    (
        r"CertificateExpiredException|CertificateNotYetValidException",
        "the certificate of {kafka} is not valid now: its operator renews it",
    ),
    (
        r"SunCertPathBuilderException|CertPathValidatorException|unable to find valid certification path",
        "the certificate of {kafka} is signed by an authority that is not trusted: look at TA_KAFKA_CA_FILE",
    ),
    (
        r"No subject alternative (DNS )?name",
        "the certificate of {kafka} is for another host: look at TA_KAFKA_BOOTSTRAP",
    ),
    (r"SslAuthenticationException|SSLHandshakeException", "look at TA_KAFKA_SECURITY and TA_KAFKA_CA_FILE"),
    (r"TopicAuthorizationException", f"user {{user!r}} lacks an access rule for the topic: {_RULES}"),
    (r"GroupAuthorizationException", f"user {{user!r}} lacks an access rule for the consumer group: {_RULES}"),
    (
        r"TransactionalIdAuthorizationException",
        f"user {{user!r}} lacks an access rule for transactional ids that begin with {{prefix!r}}: {_RULES}",
    ),
    (r"ClusterAuthorizationException", f"user {{user!r}} lacks an access rule for the cluster: {_RULES}"),
    (
        r"SignatureDoesNotMatch|InvalidAccessKeyId|(AccessDenied|Forbidden).*(S3|s3a)|(S3|s3a).*(AccessDenied|Forbidden)",
        "S3 refused: look at TA_S3_ACCESS_KEY and TA_S3_SECRET_KEY",
    ),
    (
        # The JobManager keeps what is submitted in S3; its exception is of a class that Flink's client does not have.
        r"ClassNotFoundException: com\.amazonaws\S*Exception",
        "S3 refused the JobManager, and its log says what: look at TA_S3_ACCESS_KEY and TA_S3_SECRET_KEY",
    ),
    (
        r"AUTHENTICATION_FAILED|Code: 516",
        "ClickHouse refused: look at TA_CLICKHOUSE_USERNAME and TA_CLICKHOUSE_PASSWORD",
    ),
    (
        r"RestClientException.*(401|403|Unauthorized)",
        "the schema registry refused: look at TA_SCHEMA_REGISTRY_USERNAME and TA_SCHEMA_REGISTRY_PASSWORD",
    ),
)


def explained(settings: Settings, exception: str) -> str:
    """`exception` without secrets, and what to do about it where that is known; pure."""
    shown = settings.without_secrets(exception)
    for sign, text in _SIGNS:
        if re.search(sign, exception, re.DOTALL):
            told = text.format(
                user=settings.kafka_username, kafka=settings.kafka_bootstrap, prefix=settings.transactional_id_prefix
            )
            return f"{shown}; {told}"
    return shown
