"""Which framing the packets of a server session have behind its login: one decision, made of what both sides can.

    PLAIN            MySQL packets as they are
    COMPRESSED       in frames of MySQL's compressed protocol, OceanBase's way: zlib's checksum at the least
    OB20             in OB 2.0 frames
    OB20_COMPRESSED  in OB 2.0 frames inside zlib

The proxy says in its login what it wants (``__proxy_capability_flag``); the server answers with what both have
(``ob_capability_flag`` in the login's OK), and switches behind that OK.  The order is ODP's; that a server with both
bits takes OB 2.0: seen on seekdb 1.3.0.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from odp_trio.wire.fields import OBCapability


class Framing(Enum):
    """What the packets of a server session are wrapped in."""

    PLAIN = "plain"
    COMPRESSED = "compressed"
    OB20 = "ob20"
    OB20_COMPRESSED = "ob20_compressed"


_CHOOSING: Final = OBCapability.CHECKSUM | OBCapability.OB_PROTOCOL_V2 | OBCapability.V2_COMPRESS


def framing_capabilities(*, ob20: bool, compressed: bool, level: int) -> int:
    """Return the bits that ask for a framing: OB 2.0 if it is wanted, the compressed protocol where that is not had.

    ``level`` is zlib's, 0 to 9; OB 2.0 is compressed only above 0.
    """
    asked = 0
    if ob20:
        asked |= OBCapability.OB_PROTOCOL_V2
        if level:
            asked |= OBCapability.V2_COMPRESS
    if compressed:
        asked |= OBCapability.CHECKSUM
    return asked


def agreed_framing(asked: int, granted: int) -> Framing:
    """Return what comes behind a login that ``asked`` and whose OK ``granted``."""
    both = asked & granted & _CHOOSING
    if both & OBCapability.OB_PROTOCOL_V2:
        return Framing.OB20_COMPRESSED if both & OBCapability.V2_COMPRESS else Framing.OB20
    return Framing.COMPRESSED if both & OBCapability.CHECKSUM else Framing.PLAIN
