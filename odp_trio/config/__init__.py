"""Settings: one table of options, layers merged over it, the whole validated at once.

values     how a value is written: durations, booleans, secrets
ssl_attributes  ODP's JSON object of what holds for TLS as a whole
options    the table
foreign    ODP's options that mean nothing here
settings   layers -> Settings
render     etc/odp.toml, docs/options.md, the effective settings
"""

from odp_trio.config.options import ClusterSettings, Option, Settings, options
from odp_trio.config.settings import Layer, build, from_flags, from_optstr, from_toml
from odp_trio.config.values import Secret

__all__ = [
    "ClusterSettings",
    "Layer",
    "Option",
    "Secret",
    "Settings",
    "build",
    "from_flags",
    "from_optstr",
    "from_toml",
    "options",
]
