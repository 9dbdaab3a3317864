"""S3, where checkpoints and savepoints live."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ta_pipeline.errors import S3Error, S3NoAnswerError
from ta_pipeline.settings import Settings

_FAILED = 500
_KEYS_REFUSED = {401, 403}


@dataclass(frozen=True)
class StoredObject:
    """One object: its key within the bucket, its size in bytes, and when it was last written (UTC)."""

    key: str
    bytes: int
    modified: datetime


def s3_client(settings: Settings, *, connect_seconds: float = 5, read_seconds: float = 30, retries: int = 3) -> Any:
    """A boto3 S3 client for `TA_S3_*`; how long one attempt may take, and how often it is repeated."""
    return boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint,
        aws_access_key_id=settings.s3_access_key.get_secret_value(),
        aws_secret_access_key=settings.s3_secret_key.get_secret_value(),
        # S3-compatible stores ignore the region; the request signature needs one.
        region_name="us-east-1",
        use_ssl=settings.s3_secure,
        config=Config(
            s3={"addressing_style": "path" if settings.s3_path_style else "virtual"},
            connect_timeout=connect_seconds,
            read_timeout=read_seconds,
            retries={"max_attempts": retries, "mode": "standard"},
            # Newer checksum trailers are not understood by every S3-compatible store.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def split_uri(uri: str) -> tuple[str, str]:
    """Split `s3a://bucket/key` into bucket and key; `s3://` and `s3n://` are the same to us.

    Raises:
        S3Error: `uri` is not of that form.
    """
    scheme, separator, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if not separator or scheme not in {"s3", "s3a", "s3n"} or not bucket:
        raise S3Error(f"not an S3 URI: {uri!r}; allowed is s3a://bucket/key")
    return bucket, key


def bucket_exists(client: Any, bucket: str) -> bool:
    """Whether there is such a bucket.

    Raises:
        S3Error: the store refused, or cannot be reached: then nobody knows.
    """
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in {"404", "NoSuchBucket", "NotFound"}:
            raise _error(f"S3 refused bucket {bucket!r}", error) from None
        return False
    except BotoCoreError as error:
        raise _error(f"S3 cannot be reached for bucket {bucket!r}", error) from None
    return True


def ensure_bucket(client: Any, bucket: str) -> bool:
    """Create `bucket` unless it is there; returns whether it was created.

    Raises:
        S3Error: the store refused, or cannot be reached.
    """
    if bucket_exists(client, bucket):
        return False
    try:
        client.create_bucket(Bucket=bucket)
    except (ClientError, BotoCoreError) as error:
        raise _error(f"S3 did not create bucket {bucket!r}", error) from None
    return True


def list_keys(client: Any, uri: str) -> list[str]:
    """Keys of all objects under `uri` (`s3a://bucket/prefix`), sorted.

    Raises:
        S3Error: the store refused, or cannot be reached.
    """
    return [stored.key for stored in list_objects(client, uri)]


def list_objects(client: Any, uri: str) -> list[StoredObject]:
    """All objects under `uri` (`s3a://bucket/prefix`), by key.

    Raises:
        S3Error: the store refused, or cannot be reached.
    """
    bucket, prefix = split_uri(uri)
    try:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        found = [
            StoredObject(item["Key"], int(item["Size"]), item["LastModified"].astimezone(UTC))
            for page in pages
            for item in page.get("Contents", [])
        ]
    except (ClientError, BotoCoreError) as error:
        raise _error(f"S3 could not list {uri}", error) from None
    return sorted(found, key=lambda stored: stored.key)


def read_object(client: Any, uri: str) -> bytes:
    """The content of one object.

    Raises:
        S3Error: there is none, the store refused, or it cannot be reached.
    """
    bucket, key = split_uri(uri)
    try:
        return bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    except (ClientError, BotoCoreError) as error:
        raise _error(f"S3 could not read {uri}", error) from None


def read_head(client: Any, uri: str, limit: int) -> tuple[bytes, int]:
    """The first bytes of one object, and how many it has in all.

    Args:
        client: of `s3_client`.
        uri: `s3a://bucket/key`.
        limit: how many bytes to read at most.

    Raises:
        S3Error: there is none, the store refused, or it cannot be reached.
    """
    bucket, key = split_uri(uri)
    try:
        answer = client.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{limit - 1}")
        content = bytes(answer["Body"].read())
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "InvalidRange":
            return b"", 0  # it is empty
        raise _error(f"S3 could not read {uri}", error) from None
    except BotoCoreError as error:
        raise _error(f"S3 could not read {uri}", error) from None
    _, _, size = str(answer.get("ContentRange", "")).partition("/")
    return content, int(size) if size.isdigit() else len(content)


def object_exists(client: Any, uri: str) -> bool:
    """Whether there is such an object.

    Raises:
        S3Error: the store refused, or cannot be reached: then nobody knows.
    """
    bucket, key = split_uri(uri)
    try:
        client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in {"404", "NoSuchKey", "NotFound"}:
            return False
        raise _error(f"S3 refused {uri}", error) from None
    except BotoCoreError as error:
        raise _error(f"S3 cannot be reached for {uri}", error) from None
    return True


def write_object(client: Any, uri: str, content: bytes) -> None:
    """Write one object, at once or not at all.

    Raises:
        S3Error: the store refused, or cannot be reached.
    """
    bucket, key = split_uri(uri)
    try:
        client.put_object(Bucket=bucket, Key=key, Body=content)
    except (ClientError, BotoCoreError) as error:
        raise _error(f"S3 could not write {uri}", error) from None


def delete_object(client: Any, uri: str) -> None:
    """Delete one object; one that is gone is fine.

    Raises:
        S3Error: the store refused, or cannot be reached.
    """
    bucket, key = split_uri(uri)
    try:
        client.delete_object(Bucket=bucket, Key=key)
    except (ClientError, BotoCoreError) as error:
        raise _error(f"S3 could not delete {uri}", error) from None


def _error(what: str, error: ClientError | BotoCoreError) -> S3Error:
    """A refusal is an answer; a store that fails, or that nobody hears, gave none."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status < _FAILED:
            advice = "; look at TA_S3_ACCESS_KEY and TA_S3_SECRET_KEY" if status in _KEYS_REFUSED else ""
            return S3Error(f"{what}: {error}{advice}")
    return S3NoAnswerError(f"{what}: {error}")
