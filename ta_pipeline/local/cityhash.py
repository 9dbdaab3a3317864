"""CityHash128 in the version ClickHouse kept (1.0.2): the checksum of its compressed blocks.

Definition: G. Pike, J. Alakuijala, "CityHash", release 1.0.2, functions CityHash128 and below. Later releases of
CityHash give other values. Tested against the checksums in data files that ClickHouse itself wrote.
"""

from __future__ import annotations

import struct

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_K0 = 0xC3A5_C85C_97CB_3127
_K1 = 0xB492_B66F_BE98_F273
_K2 = 0x9AE1_6A3B_2F90_404F
_K3 = 0xC949_D7C7_509E_6557
_MUL = 0x9DDF_EA08_EB38_2D69


def cityhash128(data: bytes | memoryview) -> tuple[int, int]:
    """Low and high half of the hash of `data`, each an unsigned 64-bit number."""
    size = len(data)
    if size >= 16:
        seed = (_fetch(data, 0) ^ _K3, _fetch(data, 8))
        return _with_seed(data[16:], seed)
    if size >= 8:
        seed = (_fetch(data, 0) ^ (size * _K0 & _MASK), _fetch(data, size - 8) ^ _K1)
        return _with_seed(data[:0], seed)
    return _with_seed(data, (_K0, _K1))


def _with_seed(data: bytes | memoryview, seed: tuple[int, int]) -> tuple[int, int]:
    size = len(data)
    if size < 128:
        return _murmur(data, seed)
    x, y = seed
    z = size * _K1 & _MASK
    v0 = _rotate(y ^ _K1, 49) * _K1 + _fetch(data, 0) & _MASK
    v1 = _rotate(v0, 42) * _K1 + _fetch(data, 8) & _MASK
    w0 = _rotate(y + z & _MASK, 35) * _K1 + x & _MASK
    w1 = _rotate(x + _fetch(data, 88) & _MASK, 53) * _K1 & _MASK
    at = 0
    while size - at >= 128:
        for step in (at, at + 64):
            x = _rotate(x + y + v0 + _fetch(data, step + 16) & _MASK, 37) * _K1 & _MASK
            y = _rotate(y + v1 + _fetch(data, step + 48) & _MASK, 42) * _K1 & _MASK
            x ^= w1
            y ^= v0
            z = _rotate(z ^ w0, 33)
            v0, v1 = _weak(data, step, v1 * _K1 & _MASK, x + w0 & _MASK)
            w0, w1 = _weak(data, step + 32, z + w1 & _MASK, y)
            z, x = x, z
        at += 128
    y = y + _rotate(w0, 37) * _K0 + z & _MASK
    x = x + _rotate(v0 + z & _MASK, 49) * _K0 & _MASK
    done = 0
    while done < size - at:
        done += 32
        y = _rotate(y - x & _MASK, 42) * _K0 + v1 & _MASK
        w0 = w0 + _fetch(data, size - done + 16) & _MASK
        x = _rotate(x, 49) * _K0 + w0 & _MASK
        w0 = w0 + v0 & _MASK
        v0, v1 = _weak(data, size - done, v0, v1)
    x = _hash16(x, v0)
    y = _hash16(y, w0)
    return _hash16(x + v1 & _MASK, w1) + y & _MASK, _hash16(x + w1 & _MASK, y + v1 & _MASK)


def _murmur(data: bytes | memoryview, seed: tuple[int, int]) -> tuple[int, int]:
    size = len(data)
    a, b = seed
    left = size - 16
    if left <= 0:
        a = _shift_mix(a * _K1 & _MASK) * _K1 & _MASK
        c = b * _K1 + _hash_0_to_16(data) & _MASK
        d = _shift_mix(a + (_fetch(data, 0) if size >= 8 else c) & _MASK)
    else:
        c = _hash16(_fetch(data, size - 8) + _K1 & _MASK, a)
        d = _hash16(b + size & _MASK, c + _fetch(data, size - 16) & _MASK)
        a = a + d & _MASK
        at = 0
        while True:
            a = (a ^ (_shift_mix(_fetch(data, at) * _K1 & _MASK) * _K1 & _MASK)) * _K1 & _MASK
            b ^= a
            c = (c ^ (_shift_mix(_fetch(data, at + 8) * _K1 & _MASK) * _K1 & _MASK)) * _K1 & _MASK
            d ^= c
            at += 16
            left -= 16
            if left <= 0:
                break
    a = _hash16(a, c)
    b = _hash16(d, b)
    return a ^ b, _hash16(b, a)


def _hash_0_to_16(data: bytes | memoryview) -> int:
    size = len(data)
    if size > 8:
        a, b = _fetch(data, 0), _fetch(data, size - 8)
        return _hash16(a, _rotate(b + size & _MASK, size)) ^ b
    if size >= 4:
        return _hash16(size + (_fetch_32(data, 0) << 3) & _MASK, _fetch_32(data, size - 4))
    if size > 0:
        y = data[0] + (data[size >> 1] << 8)
        z = size + (data[size - 1] << 2)
        return _shift_mix((y * _K2 ^ z * _K3) & _MASK) * _K2 & _MASK
    return _K2


def _weak(data: bytes | memoryview, at: int, a: int, b: int) -> tuple[int, int]:
    w, x, y, z = struct.unpack_from("<QQQQ", data, at)
    a = a + w & _MASK
    b = _rotate(b + a + z & _MASK, 21)
    c = a
    a = a + x + y & _MASK
    b = b + _rotate(a, 44) & _MASK
    return a + z & _MASK, b + c & _MASK


def _hash16(low: int, high: int) -> int:
    a = (low ^ high) * _MUL & _MASK
    a ^= a >> 47
    b = (high ^ a) * _MUL & _MASK
    b ^= b >> 47
    return b * _MUL & _MASK


def _shift_mix(value: int) -> int:
    return value ^ (value >> 47)


def _rotate(value: int, by: int) -> int:
    return value if by == 0 else (value >> by | value << (64 - by)) & _MASK


def _fetch(data: bytes | memoryview, at: int) -> int:
    return int(struct.unpack_from("<Q", data, at)[0])


def _fetch_32(data: bytes | memoryview, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])
