"""The last packet of a session that may not go on."""

from __future__ import annotations

import logging

from odp_trio.errors import OdpError
from odp_trio.net.channel import PacketChannel, PeerGone
from odp_trio.session.reasons import End
from odp_trio.session.services import Services, Session
from odp_trio.wire.resultset import err_packet

log = logging.getLogger("odp_trio.session")


async def refuse(
    session: Session,
    services: Services,
    client: PacketChannel,
    seq: int,
    error: OdpError,
    why: End,
    *,
    logged: bool = False,
) -> End:
    """Tell a client that it may not come in or go on: one log line, one ERR packet, a clean close."""
    services.counts.refused[error.errno] += 1
    session.detail = str(error)
    if not logged:
        log.warning("%s: %s", session, error)
    await send_last(client, err_packet(seq, error))
    return why


async def send_last(client: PacketChannel, data: bytes) -> None:
    """Send a last packet so that it arrives even if the client is still sending."""
    try:
        await client.send(data)
    except PeerGone:
        return
    await client.finish()
