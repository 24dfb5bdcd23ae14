"""The URLs that a config server is asked for, and how a URL may be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.topology.config_questions import idc_url, rslist_url, shown_url, version_url, without_queries


def test_the_version() -> None:
    assert (
        version_url("http://ocp/s?Action=GetObProxyConfig") == "http://ocp/s?Action=GetObProxyConfig&VersionOnly=true"
    )


@pytest.mark.parametrize(
    ("url", "number", "asked"),
    [
        ("http://ocp/s?ObRegion=c1", 0, "http://ocp/s?ObRegion=c1&version=2"),
        ("http://ocp/s?ObRegion=c1", 7, "http://ocp/s?ObRegion=c1&version=2&ObRegionId=7"),
        ("http://ocp/c1", 0, "http://ocp/c1?version=2"),
        ("http://ocp/c1", 7, "http://ocp/c1?version=2&ObRegionId=7"),
    ],
)
def test_a_rslist(url: str, number: int, asked: str) -> None:
    assert rslist_url(url, number) == asked


@pytest.mark.parametrize(
    ("url", "number", "asked"),
    [
        ("http://ocp/s?Action=ObRootServiceInfo&r=c1", 0, "http://ocp/s?Action=ObIDCRegionInfo&r=c1"),
        ("http://ocp/s?a=OBROOTSERVICEINFO", 7, "http://ocp/s?a=ObIDCRegionInfo&version=2&ObRegionId=7"),
        ("http://ocp/ObRootServiceInfo", 7, "http://ocp/ObIDCRegionInfo?version=2&ObRegionId=7"),
        (
            "http://ocp/s?a=ObRootServiceInfo&r=ObRootServiceInfo",
            0,
            "http://ocp/s?a=ObIDCRegionInfo&r=ObRootServiceInfo",
        ),
        ("http://ocp/c1", 0, "http://ocp/c1_idc_list"),
        ("http://ocp/c1", 7, "http://ocp/c1_idc_list?version=2&ObRegionId=7"),
    ],
)
def test_a_list_of_idcs(url: str, number: int, asked: str) -> None:
    assert idc_url(url, number) == asked


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://ocp:8080/services?uid=s3cret#s3cret", "http://ocp:8080/services"),
        ("https://user:s3cret@[::1]:8080/a/b", "https://[::1]:8080/a/b"),
        ("http://ocp/a\x1b[1mb", "http://ocp/a?[1mb"),
        ("http://[::1", "(no URL)"),
        ("s3cret", "(no URL)"),
        ("", "(no URL)"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@given(st.text())
def test_any_text_can_be_shown_on_one_line(text: str) -> None:
    assert not set("\r\n\x1b\u2028") & set(shown_url(text) + without_queries(text))
