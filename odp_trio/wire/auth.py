"""Native-password tokens.

A *stage-1 hash* is SHA1(password); the server keeps SHA1(stage 1).  A token is
stage 1 XOR SHA1(scramble + SHA1(stage 1)).  Source: MySQL: Native Password Authentication.
"""

from __future__ import annotations

import hashlib
import hmac

NATIVE_PASSWORD = b"mysql_native_password"
SCRAMBLE_BYTES = 20
_PRINTABLE = bytes(range(0x30, 0x70)) * 4
_STAGE_ONE_DIGITS = 40


def printable(chance: bytes) -> bytes:
    """Make a scramble of random bytes: each becomes one of 64 printable characters, so that 20 of them are 120 bits."""
    return chance.translate(_PRINTABLE)


def stage_one(password: str) -> bytes:
    """Return the stage-1 hash of a clear password, or the hash itself when given as 40 hexadecimal digits."""
    if is_stage_one(password):
        return bytes.fromhex(password.removeprefix("*"))
    return hashlib.sha1(password.encode()).digest()


def is_stage_one(password: str) -> bool:
    """Whether a configured password is a stage-1 hash, as ODP writes it."""
    return len(password) == _STAGE_ONE_DIGITS and all(digit in "0123456789abcdefABCDEF" for digit in password)


def native_token(password: str, scramble: bytes) -> bytes:
    """Return the 20-byte token for a password (clear or stage-1); empty for an empty one."""
    return token_from_stage_one(stage_one(password), scramble) if password else b""


def token_from_stage_one(stage1: bytes, scramble: bytes) -> bytes:
    """Return the token for a stage-1 hash."""
    stage2 = hashlib.sha1(stage1).digest()
    return xor(stage1, hashlib.sha1(scramble[:SCRAMBLE_BYTES] + stage2).digest())


def token_matches(token: bytes, password: str, scramble: bytes) -> bool:
    """Whether a token proves a configured password (clear or stage-1); an empty one needs no token."""
    if not password:
        return not token
    return hmac.compare_digest(token, token_from_stage_one(stage_one(password), scramble))


def xor(left: bytes, right: bytes) -> bytes:
    """XOR two byte strings of equal length: how ``__proxy_scramble`` joins two scrambles."""
    if len(left) != len(right):
        raise ValueError(f"{len(left)} bytes against {len(right)}")
    return (int.from_bytes(left, "little") ^ int.from_bytes(right, "little")).to_bytes(len(left), "little")
