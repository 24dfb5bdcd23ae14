"""What servers have of a session's prepared statements: copies, cursors, long data; and how they are rid of it."""

from __future__ import annotations

from typing import Final, final

from odp_trio.model import Address
from odp_trio.session.retry import WITHHELD
from odp_trio.session.server_set import ServerSet, Upstream
from odp_trio.state.prepared import LongData, Prepared, PreparedStatements
from odp_trio.wire.command import Com
from odp_trio.wire.packets import packet

_CLOSE: Final = int(Com.STMT_CLOSE)


@final
class Copies:
    """The copies of one session's statements on all its servers."""

    __slots__ = ("_prepared", "_servers")

    def __init__(self, servers: ServerSet, prepared: PreparedStatements) -> None:
        self._servers, self._prepared = servers, prepared

    # ---- where they are -----------------------------------------------------------------

    def owner(self, statement: Prepared) -> Address | None:
        """Return the server that has something of the statement that no other has."""
        if statement.long_data is not None and statement.long_data.on is not None:
            return statement.long_data.on
        if statement.cursor_on is not None:
            upstream = self._servers.by_address.get(statement.cursor_on)
            if upstream is None or statement.id not in upstream.copies:
                statement.cursor_on = None  # it went with its connection
        return statement.cursor_on or (None if statement.whole else self.any_holder(statement))

    def any_holder(self, statement: Prepared, types_version: int | None = None) -> Address | None:
        """Return a server that has a statement, and these types of its parameters."""
        for upstream in self._servers.by_address.values():
            copy = upstream.copies.get(statement.id)
            if copy is not None and types_version in (None, copy.types_version):
                return upstream.address
        return None

    def is_named(self, server_id: int) -> bool:
        """Whether some server has a statement of the session under this number of its own."""
        return any(
            copy.server_id == server_id
            for upstream in self._servers.by_address.values()
            for copy in upstream.copies.values()
        )

    def is_bound_to(self, upstream: Upstream) -> bool:
        """Whether a server has something of a statement that cannot be had again; a cursor is lost in silence."""
        statements = self._prepared.statements.values()
        return any(item.long_data is not None and item.long_data.on == upstream.address for item in statements)

    def is_idle_on(self, number: int, upstream: Upstream) -> bool:
        """Whether a server may forget its copy of a statement: it is made again when it is needed."""
        statement = self._prepared.statements.get(number)
        if statement is None:
            return True
        on = None if statement.long_data is None else statement.long_data.on
        return statement.whole and upstream.address not in (statement.cursor_on, on)

    # ---- what changes them --------------------------------------------------------------

    def note_cursor(self, statement: Prepared, upstream: Upstream, *, opens: bool) -> None:
        """An execution opens a cursor here or none; the one before is closed, wherever it is."""
        other = None if statement.cursor_on is None else self._servers.by_address.get(statement.cursor_on)
        if other is not None and other is not upstream:
            self._close_copy(other, statement)
        statement.cursor_on = upstream.address if opens else None

    def note_long_data(self, statement: Prepared, upstream: Upstream) -> None:
        """More than is kept goes to a server, which has what was kept already."""
        if statement.long_data is None or statement.long_data.on is None:
            self._prepared.drop_long_data(statement)
            statement.long_data = upstream.copies[statement.id].long_data = LongData(on=upstream.address)

    def note_executed(self, statement: Prepared, upstream: Upstream, errno: int) -> None:
        """An execution with long data is answered: the server has used it up, and what others got of it is stale."""
        kept, copy = statement.long_data, upstream.copies.get(statement.id)
        if kept is None:
            return
        if errno in WITHHELD and kept.on is None:
            self._close_copy(upstream, statement)  # another server may be asked, and gets all of it
            return
        if copy is not None and copy.long_data is kept:
            copy.long_data = None
        self.drop_long_data(statement)

    def drop_long_data(self, statement: Prepared) -> None:
        """Forget what was kept, and copies that have got some of it."""
        kept = statement.long_data
        self._prepared.drop_long_data(statement)
        for upstream in tuple(self._servers.by_address.values()):
            copy = upstream.copies.get(statement.id)
            if kept is not None and copy is not None and copy.long_data is kept:
                self._close_copy(upstream, statement)

    def reset(self, statement: Prepared, upstream: Upstream | None) -> None:
        """Long data and the cursor are gone everywhere; ``upstream`` is told by the command itself."""
        copy = None if upstream is None else upstream.copies.get(statement.id)
        if copy is not None:
            copy.long_data = None
        self.drop_long_data(statement)
        other = None if statement.cursor_on is None else self._servers.by_address.get(statement.cursor_on)
        if other is not None and other is not upstream:
            self._close_copy(other, statement)
        statement.cursor_on = None

    def close(self, statement: Prepared, upstream: Upstream | None) -> None:
        """COM_STMT_CLOSE goes to every server that has the statement; ``upstream`` gets the client's own."""
        for other in tuple(self._servers.by_address.values()):
            if other is upstream:
                other.copies.pop(statement.id, None)
            else:
                self._close_copy(other, statement)
        self._prepared.remove(statement)

    def _close_copy(self, upstream: Upstream, statement: Prepared) -> None:
        copy = upstream.copies.pop(statement.id, None)
        if copy is None:
            return
        try:
            upstream.leg.write(packet(0, bytes((_CLOSE,)) + copy.server_id.to_bytes(4, "little")))
        except OSError:
            self._servers.closed_idle(upstream)
