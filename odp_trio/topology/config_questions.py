"""What a config server is asked: URLs, as ODP makes them.  URLs may hold secrets; ``shown_url`` is for the eye."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

_RSLIST_WORD: Final = re.compile("ObRootServiceInfo", re.IGNORECASE)
_QUERY: Final = re.compile(r"\?[^\s'\"<>]*")
_CONTROL: Final = re.compile("[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]")


def version_url(url: str) -> str:
    """Return the URL that asks for the version of the main document only."""
    return f"{url}&VersionOnly=true"


def rslist_url(url: str, cluster_id: int = 0) -> str:
    """Return the URL that asks for a rslist, of one cluster id unless that is 0."""
    return f"{_joined(url)}version=2{_region(cluster_id)}"


def idc_url(url: str, cluster_id: int = 0) -> str:
    """Return the URL that asks for the list of IDCs, made from that of the rslist."""
    found, times = _RSLIST_WORD.subn("ObIDCRegionInfo", url, count=1)
    asked = found if times else f"{url}_idc_list"
    return f"{_joined(asked)}version=2{_region(cluster_id)}" if cluster_id else asked


def shown_url(url: str) -> str:
    """Return ``scheme://host:port/path`` of a URL: without user, query and fragment, which may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(no URL)"
    place = parts.netloc.rpartition("@")[2]
    return _CONTROL.sub("?", f"{parts.scheme}://{place}{parts.path}") if parts.scheme and place else "(no URL)"


def without_queries(text: str) -> str:
    """Return text of others with the queries of URLs taken out, and on one line."""
    return _CONTROL.sub(" ", _QUERY.sub("?…", text))


def _joined(url: str) -> str:
    return f"{url}&" if "?" in url else f"{url}?"


def _region(cluster_id: int) -> str:
    return f"&ObRegionId={cluster_id}" if cluster_id else ""
