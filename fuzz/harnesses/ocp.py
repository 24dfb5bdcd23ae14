"""What config servers answer, and the file of rslists that is kept of it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from fuzz.cutting import Choices, outcome
from odp_trio.errors import BadCacheFile, MalformedConfigAnswer
from odp_trio.topology.config_answers import read_document, read_idcs, read_rslist, read_version
from odp_trio.topology.rslist_file import CachedRslist, _checksum, _decode, read_rslist_file, write_rslist_file
from tests.topology.config_json import DOCUMENT, IDCS, RSLIST, without, wrapped

_NOW = 1_700_000_000.0


def one_input(data: bytes) -> None:
    """Read bytes as each answer, and as the file."""
    choices = Choices(data)
    mode = choices.byte()
    rest = choices.rest
    if mode & 1:
        _file(rest)
        return
    outcome(lambda: read_version(rest), MalformedConfigAnswer)
    document = outcome(lambda: read_document(rest), MalformedConfigAnswer)
    if not isinstance(document, type):
        assert "hunter2" not in repr(document)
    for number in (0, 1):
        rslist = outcome(lambda number=number: read_rslist(rest, "c1", number), MalformedConfigAnswer)  # type: ignore[misc]
        if not isinstance(rslist, type):
            assert rslist.clusters
            assert all(one.servers for one in rslist.clusters)
        outcome(lambda number=number: read_idcs(rest, "c1", number), MalformedConfigAnswer)  # type: ignore[misc]


def _file(data: bytes) -> None:
    record = outcome(lambda: _decode(data), BadCacheFile)
    if not isinstance(record, type):  # the checksum is made right: nobody guesses one
        data = msgspec.json.encode(msgspec.structs.replace(record, sha256=_checksum(record)))
    contents = outcome(lambda: read_rslist_file(data, _NOW), BadCacheFile)
    if isinstance(contents, type):
        return
    encoded = write_rslist_file(contents.entries, made_by=contents.made_by, written_at=contents.written_at)
    again = read_rslist_file(encoded.data, _NOW)
    assert again.entries == contents.entries


def seeds() -> Iterator[bytes]:
    """Give right answers of each kind, wrong ones, a file."""
    template = without(DOCUMENT, "ObRootServiceInfoUrlList") | {
        "ObRootServiceInfoUrlTemplate": "http://ocp/rs?ObRegion=${ObRegion}",
        "ObRegion": ["c1", "c2"],
    }
    for data in (DOCUMENT, template, RSLIST, [RSLIST, RSLIST | {"ObRegionId": 2, "Type": "STANDBY"}], IDCS, [IDCS]):
        yield b"\0" + wrapped(data)
    yield b"\0" + wrapped({}, Success=False, Message="no", Code=400)
    yield b"\0<html>404</html>"
    yield b"\0" + wrapped({"Version": "a b"})
    entry = CachedRslist(read_rslist(wrapped(RSLIST), "c1", 1), _NOW - 60, _NOW - 30, {1: {"HZ1": "hangzhou"}})
    yield b"\1" + write_rslist_file([entry], made_by="odp-trio 1", written_at=_NOW - 5).data
    yield b"\1" + write_rslist_file([], made_by="x", written_at=_NOW + 900).data
