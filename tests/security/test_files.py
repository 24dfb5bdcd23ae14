"""Files, links and permissions; what others on the machine see."""

from __future__ import annotations

import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from fuzz.figures import CORPUS
from fuzz.harnesses import harness
from odp_trio.config import Layer, build
from odp_trio.config.render import effective, effective_json
from odp_trio.net.listener import bind_unix
from odp_trio.process.child import own_command
from odp_trio.process.watch_files import write_record

SECRET = "a secret that is long enough"


def test_file_2_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    victim, status = tmp_path / "victim", tmp_path / "status"
    victim.write_text("precious")
    (tmp_path / f"status.{os.getpid()}").symlink_to(victim)
    status.symlink_to(victim)

    write_record(status, {"pid": 1})

    assert victim.read_text() == "precious"
    assert not status.is_symlink()
    assert status.read_text() == '{"pid": 1}\n'


@pytest.mark.parametrize("mode", ["0600", "0660", "0777"])
def test_file_3_the_socket_has_its_permissions(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "socket"
    with bind_unix(str(path), mode, 8) as listener:
        assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


def test_file_3_what_is_no_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    path.write_text("precious")

    with pytest.raises(OSError, match="cannot listen"):
        bind_unix(str(path), "0600", 8)

    assert path.read_text() == "precious"


def test_file_4_what_was_found_to_be_odd_is_refused_or_read() -> None:
    for path in sorted((CORPUS / "ocp").iterdir()):
        harness("ocp").one_input(path.read_bytes())


def test_file_5_no_form_of_the_settings_shows_a_secret() -> None:
    names = ("observer_sys_password", "observer_sys_password1", "obproxy_sys_password", "http_token")
    values = {"rootservice_list": "127.0.0.1:1", "rootservice_cluster_name": "c", **dict.fromkeys(names, SECRET)}
    layer = Layer("test", values)
    built = build(layer)

    shown = effective(built) + effective_json(built).decode() + repr(built) + repr(layer)

    assert SECRET not in shown
    assert "***" in shown


def test_file_5_a_child_gets_the_arguments_that_it_is_given_and_no_more() -> None:
    assert own_command(["run", "--standby"])[-2:] == ["run", "--standby"]
    assert not {*sys.argv[1:]} & {*own_command(["run"])}
