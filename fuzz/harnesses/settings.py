"""Settings: TOML, ODP's option strings, flags, the file of what was kept of changes, values of every kind."""

from __future__ import annotations

from collections.abc import Iterator

from fuzz.cutting import Choices, outcome
from odp_trio.config.environment import from_environment
from odp_trio.config.options import options
from odp_trio.config.render import effective, effective_json
from odp_trio.config.settings import Built, Layer, build, from_flags, from_optstr, from_toml
from odp_trio.config.sources import overlay_of, render_kept
from odp_trio.config.values import READERS
from odp_trio.errors import ConfigError, OdpError

_NAMES = sorted(options())


def one_input(data: bytes) -> None:
    """Read bytes as each form in which settings come."""
    choices = Choices(data)
    mode, which = choices.byte() % 5, choices.byte() | choices.byte() << 8
    text = choices.rest.decode("utf-8", "replace")
    if mode == 0:
        _layer(lambda: from_toml(text, "a file"))
    elif mode == 1:
        _layer(lambda: from_optstr(text))
    elif mode == 2:
        name = _NAMES[which % len(_NAMES)]
        _layer(lambda: from_flags({name: text}))
        _layer(lambda: Layer("kept", {name: text}))
    elif mode == 3:
        for read in READERS.values():
            for value in (text, choices.number(8), text.splitlines(), None, True):
                outcome(lambda read=read, value=value: read(value), OdpError)  # type: ignore[misc]
    else:
        layer = outcome(lambda: from_toml(text, "a file"), ConfigError)
        if not isinstance(layer, type):
            overlay = outcome(lambda: overlay_of(layer), ConfigError)
            if not isinstance(overlay, type):
                again = overlay_of(from_toml(render_kept(overlay), "again"))
                assert repr(again) == repr(overlay)
        name = f"ODP_{_NAMES[which % len(_NAMES)].upper()}"
        _build(*from_environment({name: text}))


def _layer(make: object) -> None:
    assert callable(make)
    layer = outcome(make, ConfigError)
    if isinstance(layer, Layer):
        _build(layer)


def _build(*layers: Layer) -> None:
    built = outcome(lambda: build(*layers), ConfigError)
    if isinstance(built, Built):
        assert effective(built)
        assert effective_json(built)


def seeds() -> Iterator[bytes]:
    """Give a file of some options, option strings, a value for each option."""
    yield b"\0\0\0" + b'listen_port = 2883\nrslist = "10.0.0.1:2881"\n[cluster.c1]\nrslist = "10.0.0.2:2881"\n'
    yield (
        b"\0\0\0" + b'[cluster.c1.tenant.t1]\nob_route_policy = "x"\n[cluster.c1.tenant.t1.user.u]\nread_only = true\n'
    )
    yield b"\4\0\0" + b'listen_port = 2883\n[cluster.c1]\nserver_connect_timeout = "5s"\n'
    yield (
        b"\1\0\0" + b"listen_port=2883,rootservice_list=10.0.0.1:2881;10.0.0.2:2881,observer_sys_password=" + b"a" * 40
    )
    for at, (name, option) in enumerate(sorted(options().items())):
        assert name
        for mode in (2, 4):
            yield bytes((mode, at & 255, at >> 8)) + str(option.default).encode()[:80]
    for text in (
        b"5s",
        b"100ms",
        b"1h",
        b"64M",
        b"0.5",
        b"on",
        b"10.0.0.0/8,::1",
        b"http://ocp:8080/services?a=b",
        b"a.b",
    ):
        yield b"\3\0\0" + text
