"""Partitions of a table: by hash of a whole number, or by ranges of one; a table of another kind has one partition.

How they are told to a proxy: seen on seekdb 1.3.0.
"""

from __future__ import annotations

from typing import Final

import msgspec

from odp_trio.testing.fakes.answers import Value
from odp_trio.testing.fakes.values import number

HASH, RANGE = "hash", "range"
_CODES: Final = {HASH: 0, RANGE: 3}
_MAXIMUM: Final = b"\x19\x07\x00\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
_WHOLE: Final = b"\x05\x05\x3f\x00"
INFO: Final = (
    *("tenant_name", "table_id", "part_level", "all_part_num", "template_num", "part_type", "part_num"),
    *("part_range_type", "part_expr", "part_interval_bin", "interval_start_bin", "sub_part_type", "sub_part_num"),
    *("sub_part_range_type", "sub_part_expr", "part_key_num", "part_key_name", "part_key_type", "part_key_idx"),
    *("part_key_level", "part_key_extra", "part_key_collation_type", "part_key_rowkey_idx", "part_key_expr"),
    *("part_key_length", "part_key_precision", "part_key_scale", "part_key_default_value"),
)
PARTITION: Final = ("tablet_id", "ls_id", "part_id", "part_name", "high_bound_val_bin", "sub_part_num")


class Partitions(msgspec.Struct, frozen=True):
    """How one table is partitioned: by the column at ``place``; ``bounds`` are where ranges end, None for MAXVALUE."""

    method: str
    column: str
    place: int
    tablets: tuple[int, ...]
    bounds: tuple[int | None, ...] = ()

    def tablet(self, value: Value) -> int:
        """Return the tablet of a row whose column has that value."""
        found = 0 if value is None else int(number(value))
        if self.method == HASH:
            return self.tablets[abs(found) % len(self.tablets)]
        for tablet, bound in zip(self.tablets, self.bounds, strict=True):
            if bound is None or found < bound:
                return tablet
        return self.tablets[-1]

    def info_row(self, tenant: str, table: int) -> list[Value]:
        """Return the row of ``__all_virtual_proxy_partition_info``."""
        count, code = len(self.tablets), _CODES[self.method]
        head: list[Value] = [tenant, table, 1, count, 0, code, count, "5" if self.method == RANGE else ""]
        head += [self.column, "", "", 0, 0, "", "", 1, self.column, 4, 0, 1, "", 63, 0, ""]
        return [*head, -1, 11, 0, None]

    def rows(self, table: int) -> list[list[Value]]:
        """Return the rows of ``__all_virtual_proxy_partition``."""
        return [
            [tablet, 1001 + at, table + 1 + at, f"p{at}", self._bound(at), 0] for at, tablet in enumerate(self.tablets)
        ]

    def _bound(self, at: int) -> bytes | None:
        if self.method == HASH:
            return None
        bound = self.bounds[at]
        return b"\x01" + (_MAXIMUM if bound is None else _WHOLE + _varint(bound))


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
