"""Random configurations: those that are accepted start, those that are refused name what is wrong.

``ODP_TRIO_CONFIGURATIONS=10000`` tries so many of each kind.
"""

from __future__ import annotations

import difflib
import os
import random
import string
from typing import Any

import trio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from odp_trio.admin.configuration import Configuration
from odp_trio.app import Proxy
from odp_trio.config import Layer, Settings, build, options
from odp_trio.config.changes import Change, Scope
from odp_trio.config.foreign import FOREIGN
from odp_trio.config.impact import impacts
from odp_trio.config.options import Described
from odp_trio.config.render import effective, toml_value, value_text, written
from odp_trio.config.settings import allowed, from_toml, is_scoped
from odp_trio.config.sources import Sources
from odp_trio.errors import ConfigError
from odp_trio.net.reactor import open_reactor
from odp_trio.process.inherited import NOTHING_INHERITED
from odp_trio.supervise.supervisor import open_supervisor

COUNT = int(os.environ.get("ODP_TRIO_CONFIGURATIONS", "40"))
many = settings(max_examples=COUNT, deadline=None, derandomize=COUNT == 40, suppress_health_check=list(HealthCheck))

WORDS = st.text(string.ascii_letters + string.digits + "_-. ", max_size=12)
ADDRESSES = st.builds("10.{}.0.{}:{}".format, st.integers(0, 255), st.integers(1, 254), st.integers(1, 65535))
TEXTS: dict[str, st.SearchStrategy[Any]] = {
    "text": WORDS,
    "secret": WORDS,
    "version": st.lists(st.integers(0, 99).map(str), min_size=1, max_size=4).map(".".join),
    "ip": st.ip_addresses().map(str),
    "separators": st.lists(st.sampled_from(":;-.,/"), max_size=4).map(";".join),
    "targets": st.lists(ADDRESSES, max_size=3).map(";".join),
    "url": st.just("") | st.builds("http://ocp:{}/x".format, st.integers(1, 65535)),
    "networks": st.lists(st.sampled_from(["10.0.0.0/8", "0.0.0.0/0", "fd00::/8"]), max_size=2).map(",".join),
    "compression": st.just("") | st.builds("zlib:{}".format, st.integers(0, 9)),
    "mode": st.integers(0, 0o777).map("{:04o}".format),
    "ssl_attributes": st.sampled_from(["", '{"using_ssl":"ENABLE_FORCE"}', '{"min_tls_version":"TLSV1.3"}']),
}
LEFT_OUT = {
    "rootservice_list": "goes with a name; below",
    "rootservice_cluster_name": "goes with a list; below",
    "own_rules": "names code",
    "log_dir": "a directory is made at the start",
    "reactor": "one of the machine",
    "listen_port": "ports are taken by others",
    "prometheus_listen_port": "ports are taken by others",
    "local_bound_ip": "addresses are of other machines",
    "local_bound_ipv6_ip": "addresses are of other machines",
    "prometheus_bound_ip": "addresses are of other machines",
    "unix_socket": "a file is made at the start",
    "otel_traces_endpoint": "an extra is wanted for it",
    "obproxy_config_server_url": "below",
}
"""Options that a random value cannot be started with here; the check of values knows them all the same."""


def good(described: Described) -> st.SearchStrategy[Any]:
    """Return values that an option allows, in the ways that they may be written."""
    option, name = described.option, described.name
    if option.choices:
        return st.sampled_from(option.choices)
    if isinstance(described.default, bool):
        return st.booleans() | st.sampled_from(["on", "OFF", "t", "0"])
    low = option.low or 0
    high = option.high if option.high is not None else low + 1_000_000
    match option.kind:
        case "int":
            return st.integers(int(low), int(high)) | st.integers(int(low), int(high)).map(str)
        case "fraction":
            return st.floats(low, high)
        case "duration":
            return st.floats(low, high).map(
                lambda s: f"{min(max(round(s * 1e6), -(-low * 1e6 // 1)), high * 1e6):.0f}us"
            )
        case "capacity":
            return st.integers(int(low), int(high)).map("{}B".format)
        case _:
            assert option.kind in TEXTS, f"{name} is of a kind that TEXTS lacks: {option.kind}"
            return TEXTS[option.kind]


GOOD = {name: good(described) for name, described in options().items() if name != "rootservice_list"}
STARTABLE = {name: strategy for name, strategy in GOOD.items() if name not in LEFT_OUT}
SCOPED = {name: strategy for name, strategy in STARTABLE.items() if is_scoped(name)}


def some(strategies: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Return values for up to eight of these."""
    names = st.lists(st.sampled_from(sorted(strategies)), unique=True, max_size=6)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: strategies[name] for name in chosen}))


OF_PROXY, OF_SCOPE = some(STARTABLE), some(SCOPED)


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """Return what a file may hold: some options, and clusters with some for them, their tenants and users."""
    values: dict[str, Any] = draw(OF_PROXY)
    clusters = draw(st.dictionaries(WORDS.filter(bool), st.lists(ADDRESSES, min_size=1, max_size=2), max_size=2))
    for name, rslist in clusters.items():
        tenant = {**draw(OF_SCOPE), "users": {"u": draw(OF_SCOPE)}}
        table = {"rslist": ";".join(rslist), **draw(OF_SCOPE), "tenants": {"t": tenant}}
        values.setdefault("clusters", {})[name] = table
    if not clusters and draw(st.booleans()):
        values["obproxy_config_server_url"] = "http://ocp/x"
    if str(values.get("client_session_id_version")) == "1":
        values["proxy_id"] = int(str(values.get("proxy_id", 0)), 0) % 256
    return values


@many
@given(configurations())
def test_what_is_accepted_starts_and_is_read_back(values: dict[str, Any]) -> None:
    values = {**values, "listen_port": 0, "local_bound_ip": "127.0.0.1", "ip_listen_mode": 1, "enable_http": False}
    made = build(Layer("x", values)).settings

    trio.run(start, made)

    impacts(None, made)
    text = "\n".join(f"{name} = {toml_value(written(d, getattr(made, name)))}" for name, d in options().items())
    again = build(from_toml(text, "y"), base=Settings(clusters=made.clusters)).settings
    assert again == made
    from_toml(effective(build(Layer("x", values))), "z")


async def start(settings: Settings) -> None:
    """Make a proxy up to the point where it would listen to clients."""
    chance = random.Random(0)
    reactor = open_reactor("nested")
    try:
        async with open_supervisor("proxy", rng=chance) as root, trio.open_nursery() as nursery:
            proxy = Proxy(Configuration(Sources(base=settings)), reactor, root, chance, NOTHING_INHERITED)
            proxy.start_sessions(nursery)
            for cluster in settings.clusters:
                proxy.configuration.settings().scoped(cluster, "t", "u")
            await proxy.configuration.alter([Change("syslog_level", "WARN"), Change("connect_timeout", "7s")])
            proxy.close()
            nursery.cancel_scope.cancel()
    finally:
        reactor.close()


BAD = (
    st.none()
    | st.lists(st.integers(), max_size=2)
    | st.sampled_from([-1, 1 << 70, float("nan"), float("inf"), "", " ", "\x00", "1 week", "-5s", "1e9", "0x", "héhé"])
    | st.text(max_size=20)
)


@many
@given(st.sampled_from(sorted(GOOD)), BAD, st.booleans())
@example("listen_port", 65536, False)
def test_a_value_is_taken_or_refused_with_its_option_itself_and_what_is_allowed(
    name: str, value: Any, lenient: bool
) -> None:
    described = options()[name]
    try:
        build(Layer("odp.toml", {name: value}, lenient=lenient))
    except ConfigError as exc:
        said = str(exc)
        assert name in said
        if described.option.kind == "secret":
            assert "***" in said
        elif described.option.kind != "url" and name != "rootservice_cluster_name":
            assert repr(value)[:40] in said
        if "out of range" in said:
            assert allowed(described) in said


@many
@given(st.sampled_from(sorted(options())), st.randoms(use_true_random=False))
def test_a_name_with_a_slip_is_refused_with_the_nearest(name: str, chance: random.Random) -> None:
    at = chance.randrange(len(name))
    slip = chance.choice([name[:at] + name[at + 1 :], name[:at] + "x" + name[at:], f"{name[:at]}{name[at]}{name[at:]}"])
    if slip in options() or slip in FOREIGN or slip == "clusters":
        return

    try:
        build(Layer("odp.toml", {slip: 1}))
    except ConfigError as exc:
        (near,) = difflib.get_close_matches(slip, (*options(), "clusters"), n=1)
        assert f"odp.toml: {slip!r} is unknown; did you mean {near!r}?" in str(exc)
    else:
        raise AssertionError(f"{slip} was accepted")


@many
@given(configurations(), st.sampled_from(sorted(GOOD)), BAD)
def test_a_change_is_made_or_refused_whole(values: dict[str, Any], name: str, value: Any) -> None:
    async def alter() -> None:
        configuration = Configuration(Sources(weaker=(Layer("x", values),)))
        before, rows = configuration.settings(), configuration.rows()
        scope = Scope(next(iter(before.clusters), "nowhere"), "t")
        try:
            await configuration.alter([Change("login_timeout", "3s"), Change(name, value), Change(name, value, scope)])
        except ConfigError as exc:
            assert name in str(exc)
            assert (configuration.settings(), configuration.rows()) == (before, rows)
        else:
            assert configuration.settings().login_timeout == 3.0

    trio.run(alter)


def test_every_option_is_in_these_tests() -> None:
    assert set(STARTABLE) | set(LEFT_OUT) == set(options())
    assert all(value_text(described, described.default) for described in options().values())
