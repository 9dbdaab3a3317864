"""Compression on ClickHouse's HTTP interface: content codings, and ClickHouse's own compressed blocks.

Clients send one lz4 or zstd frame per block of rows, several in one body. A decoder that stops after the first frame
loses the rest without an error, so every coding here is decoded to the end of the body.
"""

from __future__ import annotations

import gzip
import io
import struct
import sys
import zlib

import lz4.block
import lz4.frame

from ta_pipeline.local.cityhash import cityhash128

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK_BYTES = 1 << 16
_CHECKSUM = struct.Struct("<QQ")
_HEADER = struct.Struct("<BII")  # method, size with this header, size when decompressed
_METHOD_NONE, _METHOD_LZ4, _METHOD_ZSTD = 0x02, 0x82, 0x90


class CodecError(Exception):
    """A body is not what its headers say."""


def decode(body: bytes, coding: str) -> bytes:
    """Decode a request body of `Content-Encoding: coding`, all of its frames.

    Raises:
        CodecError: the coding is unknown, or the body is not of that coding or incomplete.
    """
    try:
        match coding.strip().lower():
            case "" | "identity":
                return body
            case "gzip" | "x-gzip":
                return gzip.decompress(body)
            case "deflate":
                return zlib.decompress(body)
            case "zstd":
                return zstd.decompress(body)
            case "lz4":
                return bytes(lz4.frame.LZ4FrameFile(io.BytesIO(body)).read())
            case other:
                raise CodecError(f"Content-Encoding {other!r} is not known; allowed are gzip, deflate, zstd, lz4")
    except (OSError, EOFError, RuntimeError, ValueError, zlib.error, zstd.ZstdError) as error:
        raise CodecError(f"the body is not {coding}: {error}") from None


def decode_blocks(body: bytes) -> bytes:
    """Decode ClickHouse's compressed blocks (`decompress=1`), checksums verified.

    Raises:
        CodecError: a block is cut off, damaged, or of an unknown method.
    """
    parts = []
    at = 0
    while at < len(body):
        if at + _CHECKSUM.size + _HEADER.size > len(body):
            raise CodecError(f"compressed block at byte {at} is cut off")
        checksum = _CHECKSUM.unpack_from(body, at)
        at += _CHECKSUM.size
        method, size, plain_size = _HEADER.unpack_from(body, at)
        block = body[at : at + size]
        if len(block) != size or size < _HEADER.size:
            raise CodecError(f"compressed block at byte {at} is cut off: {len(block)} of {size} bytes")
        if cityhash128(block) != checksum:
            raise CodecError(f"compressed block at byte {at} has a wrong checksum")
        parts.append(_decode_block(method, block[_HEADER.size :], plain_size))
        at += size
    return b"".join(parts)


def encode_blocks(data: bytes) -> bytes:
    """Encode `data` as ClickHouse's compressed blocks (`compress=1`), lz4."""
    parts = []
    for at in range(0, len(data), BLOCK_BYTES):
        plain = data[at : at + BLOCK_BYTES]
        packed = lz4.block.compress(plain, store_size=False)
        block = _HEADER.pack(_METHOD_LZ4, _HEADER.size + len(packed), len(plain)) + packed
        parts.append(_CHECKSUM.pack(*cityhash128(block)) + block)
    return b"".join(parts)


def _decode_block(method: int, packed: bytes, plain_size: int) -> bytes:
    match method:
        case 0x02:
            return packed
        case 0x82:
            return bytes(lz4.block.decompress(packed, uncompressed_size=plain_size))
        case 0x90:
            return zstd.decompress(packed)
        case _:
            raise CodecError(f"compressed block of unknown method 0x{method:02x}")
