"""Stable 64-bit hashes of bytes: FarmHash's fingerprint, and SipHash-2-4, which takes a key.

References: FarmHash (https://github.com/google/farmhash), Fingerprint64; Aumasson and Bernstein,
"SipHash: a fast short-input PRF" (2012).
"""

from __future__ import annotations

from collections.abc import Sequence

_MASK = (1 << 64) - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def bucket(data: bytes, count: int, key: Sequence[int] | None = None) -> int:
    """A number from 0 to below ``count`` by the hash of some bytes, which a ``key`` changes."""
    return (farm(data) if key is None else sip(data, key)) % count


def _at(data: bytes, place: int, size: int = 8) -> int:
    return int.from_bytes(data[place : place + size], "little")


def _rotated(value: int, right: int) -> int:
    value &= _MASK
    return (value >> right | value << (64 - right)) & _MASK


def _shift_mix(value: int) -> int:
    value &= _MASK
    return value ^ value >> 47


def _mixed(one: int, other: int, factor: int) -> int:
    first = _shift_mix(((one ^ other) & _MASK) * factor)
    return _shift_mix(((other ^ first) & _MASK) * factor) * factor & _MASK


# FarmHash


def farm(data: bytes) -> int:
    """FarmHash's Fingerprint64, the same on every machine."""
    size = len(data)
    if size <= 16:
        return _up_to_16(data)
    if size <= 32:
        return _up_to_32(data)
    return _up_to_64(data) if size <= 64 else _longer(data)


def _up_to_16(data: bytes) -> int:
    size = len(data)
    factor = _K2 + size * 2
    if size >= 8:
        first, last = _at(data, 0) + _K2, _at(data, size - 8)
        one = _rotated(last, 37) * factor + first
        other = (_rotated(first, 25) + last) * factor
        return _mixed(one, other, factor)
    if size >= 4:
        return _mixed(size + (_at(data, 0, 4) << 3), _at(data, size - 4, 4), factor)
    if not size:
        return _K2
    low = data[0] + (data[size >> 1] << 8)
    return _shift_mix(low * _K2 ^ (size + (data[-1] << 2)) * _K0) * _K2 & _MASK


def _ends(data: bytes, scale: int, factor: int) -> tuple[int, int, int]:
    """Two sums over both ends of some bytes, and what the first 8 of these came to."""
    size = len(data)
    a, b = _at(data, 0) * scale, _at(data, 8)
    c, d = _at(data, size - 8) * factor, _at(data, size - 16) * _K2
    return _rotated(a + b, 43) + _rotated(c, 30) + d, a + _rotated(b + _K2, 18) + c, a


def _up_to_32(data: bytes) -> int:
    factor = _K2 + len(data) * 2
    one, other, _ = _ends(data, _K1, factor)
    return _mixed(one, other, factor)


def _up_to_64(data: bytes) -> int:
    size = len(data)
    factor = _K2 + size * 2
    y, second, a = _ends(data, _K2, factor)
    z = _mixed(y, second, factor)
    e, f = _at(data, 16) * factor, _at(data, 24)
    g, h = (y + _at(data, size - 32)) * factor, (z + _at(data, size - 24)) * factor
    return _mixed(_rotated(e + f, 43) + _rotated(g, 30) + h, e + _rotated(f + a, 18) + g, factor)


def _weak(data: bytes, place: int, a: int, b: int) -> tuple[int, int]:
    """A hash of 32 bytes that goes on from two numbers."""
    w, x, y, z = (_at(data, place + 8 * i) for i in range(4))
    a += w
    b = _rotated(b + a + z, 21)
    total = a + x + y
    return (total + z) & _MASK, (b + _rotated(total, 44) + a) & _MASK


def _longer(data: bytes) -> int:
    size, place = len(data), 0
    end = (size - 1) // 64 * 64
    x, y = 81, (81 * _K1 + 113) & _MASK
    z = _shift_mix(y * _K2 + 113) * _K2 & _MASK
    v, w = (0, 0), (0, 0)
    x = x * _K2 + _at(data, 0)
    while place != end:
        x, y, z, v, w = _block(data, place, x, y, z, v, w, (_K1, 1))
        place += 64
    factor = _K1 + ((z & 0xFF) << 1)
    tail = w[0] + ((size - 1) & 63)
    v = (v[0] + tail, v[1])
    w = (tail + v[0], w[1])
    x, y, z, v, w = _block(data, size - 64, x, y, z, v, w, (factor, 9))
    return _mixed(
        _mixed(v[0], w[0], factor) + _shift_mix(y) * _K0 + z,
        _mixed(v[1], w[1], factor) + x,
        factor,
    )


def _block(
    data: bytes, place: int, x: int, y: int, z: int, v: tuple[int, int], w: tuple[int, int],
    factors: tuple[int, int],
) -> tuple[int, int, int, tuple[int, int], tuple[int, int]]:  # fmt: skip
    """64 bytes more."""
    factor, weight = factors
    x = _rotated(x + y + v[0] + _at(data, place + 8), 37) * factor & _MASK
    y = _rotated(y + v[1] + _at(data, place + 48), 42) * factor & _MASK
    x ^= w[1] * weight & _MASK
    y = (y + v[0] * weight + _at(data, place + 40)) & _MASK
    z = _rotated(z + w[0], 33) * factor & _MASK
    v = _weak(data, place, v[1] * factor, x + w[0])
    w = _weak(data, place + 32, z + w[1], y + _at(data, place + 16))
    return z, y, x, v, w


# SipHash


def sip(data: bytes, key: Sequence[int]) -> int:
    """SipHash-2-4 of some bytes under a key of two numbers of 64 bits."""
    first, second = (part & _MASK for part in key)
    state = [
        first ^ 0x736F6D6570736575,
        second ^ 0x646F72616E646F6D,
        first ^ 0x6C7967656E657261,
        second ^ 0x7465646279746573,
    ]
    whole = len(data) // 8 * 8
    words = [_at(data, place) for place in range(0, whole, 8)]
    words.append(_at(data, whole) | (len(data) & 0xFF) << 56)
    for word in words:
        state[3] ^= word
        _sip_rounds(state, 2)
        state[0] ^= word
    state[2] ^= 0xFF
    _sip_rounds(state, 4)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _sip_rounds(state: list[int], count: int) -> None:
    a, b, c, d = state
    for _ in range(count):
        a, c = (a + b) & _MASK, (c + d) & _MASK
        b, d = _rotated(b, 51) ^ a, _rotated(d, 48) ^ c
        a, c = (_rotated(a, 32) + d) & _MASK, (c + b) & _MASK
        d, b = _rotated(d, 43) ^ a, _rotated(b, 47) ^ c
        c = _rotated(c, 32)
    state[:] = a, b, c, d
