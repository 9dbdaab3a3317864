from __future__ import annotations

import gzip
import sys
import zlib

import lz4.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.local.clickhouse_codec import BLOCK_BYTES, CodecError, decode, decode_blocks, encode_blocks

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODINGS = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress, "lz4": lz4.frame.compress}
DATA = b"a row, " * 100


@pytest.mark.parametrize("coding", CODINGS)
@given(data=st.binary(max_size=2_000))
def test_what_a_client_compresses_is_decoded(coding: str, data: bytes) -> None:
    assert decode(CODINGS[coding](data), coding) == data


@pytest.mark.parametrize("coding", ["gzip", "zstd", "lz4"])
@given(parts=st.lists(st.binary(max_size=300), min_size=2, max_size=5))
def test_every_frame_of_a_body_is_decoded(coding: str, parts: list[bytes]) -> None:
    assert decode(b"".join(CODINGS[coding](part) for part in parts), coding) == b"".join(parts)


def test_a_body_without_a_coding_is_taken_as_it_is() -> None:
    assert decode(DATA, "") == DATA
    assert decode(DATA, "identity") == DATA


@pytest.mark.parametrize("coding", CODINGS)
def test_a_body_that_is_cut_off_is_refused(coding: str) -> None:
    with pytest.raises(CodecError, match=coding):
        decode(CODINGS[coding](DATA)[:-5], coding)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_body_of_another_coding_is_refused(coding: str) -> None:
    with pytest.raises(CodecError, match=f"the body is not {coding}"):
        decode(DATA, coding)


def test_an_unknown_coding_is_refused_by_naming_those_that_are_known() -> None:
    with pytest.raises(CodecError, match="'br' is not known; allowed are gzip, deflate, zstd, lz4"):
        decode(DATA, "br")


@given(data=st.binary(max_size=2_000), repeated=st.integers(1, 100))
def test_clickhouse_blocks_come_back_as_they_went(data: bytes, repeated: int) -> None:
    assert decode_blocks(encode_blocks(data * repeated)) == data * repeated


def test_large_data_is_several_blocks_and_all_of_them_are_decoded() -> None:
    data = bytes(range(256)) * (3 * BLOCK_BYTES // 256 + 1)
    blocks = encode_blocks(data)
    assert decode_blocks(blocks) == data
    assert decode_blocks(blocks + blocks) == data + data


@pytest.mark.parametrize("keep", [1, 15, 24, 26, -1])
def test_a_block_that_is_cut_off_is_refused(keep: int) -> None:
    with pytest.raises(CodecError, match="cut off"):
        decode_blocks(encode_blocks(DATA)[:keep])


@pytest.mark.parametrize("at", [0, 16, 30, -1])
def test_a_damaged_block_is_refused(at: int) -> None:
    block = bytearray(encode_blocks(DATA))
    block[at] ^= 0x01
    with pytest.raises(CodecError, match="wrong checksum"):
        decode_blocks(bytes(block))
