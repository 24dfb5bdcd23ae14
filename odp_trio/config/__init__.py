"""Settings: one table of options, layers merged over it, the whole validated at once.

values     how a value is written: durations, booleans, secrets
ssl_attributes  ODP's JSON object of what holds for TLS as a whole
options    the table
foreign    ODP's options that mean nothing here
settings   layers -> Settings
render     etc/odp.toml, docs/options.md, the effective settings
changes    changes at run time, and what they say of themselves
sources    all layers of a process, and the file of what is kept of changes
lineage    the layers of a process as they are sent to another one
environment  variables of the environment that are options
foot_gun   one thing that somebody may not expect of a setting
foot_guns  the table of these, of foot_guns_of_routing and foot_guns_of_operation
impact     which of these a change sets off, and for whom
visibility  who an option is meant for
listing    the rows of SHOW PROXYCONFIG
like       LIKE of ODP's own commands
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
