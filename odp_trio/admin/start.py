"""What a start is given: a file, what was kept of changes at run time, the environment, -o and flags."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from odp_trio.admin.check_config import FLAGS
from odp_trio.config.environment import from_environment
from odp_trio.config.options import options
from odp_trio.config.settings import Layer, from_optstr, from_toml
from odp_trio.config.sources import KEPT_NAME, Sources, overlay_of
from odp_trio.errors import ConfigError


def read_sources(
    file: Path | None,
    etc: Path | None = None,
    environ: Mapping[str, str] = {},
    optstr: str = "",
    flags: Sequence[Layer] = (),
) -> Sources:
    """Read everything, in the current directory; raise ConfigError for what cannot be read.

    ``etc`` is a directory with ``odp.toml``, read when there is no ``file``.
    """
    if file is None and etc is not None and (etc / "odp.toml").exists():
        file = etc / "odp.toml"
    weaker = (read_file(file),) if file is not None else ()
    stronger = (*from_environment(environ), *((from_optstr(optstr),) if optstr else ()), *flags)
    path = _directory((*weaker, *stronger)) / KEPT_NAME
    kept = overlay_of(read_file(path)) if path.exists() else Sources().kept
    return Sources(weaker=weaker, kept=kept, kept_in=str(path), stronger=stronger)


def read_given(options: argparse.Namespace, environ: Mapping[str, str]) -> Sources:
    """Read what the options of ``run`` name."""
    given = ((flag, name, getattr(options, destination)) for destination, flag, name in FLAGS)
    flags = [
        Layer(flag, {name: 0 if (name, value) == ("workers", "auto") else value})
        for flag, name, value in given
        if value is not None
    ]
    return read_sources(options.config, options.etc, environ, options.optstr or "", flags)


def _directory(layers: Sequence[Layer]) -> Path:
    """Return etc_dir; what is wrong with it is said when settings are made."""
    named = [layer.values["etc_dir"] for layer in layers if isinstance(layer.values.get("etc_dir"), str)]
    return Path(named[-1] if named else options()["etc_dir"].default).absolute()


def read_file(path: Path) -> Layer:
    """Read a TOML file; raise ConfigError naming it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: not UTF-8: {exc.reason} at byte {exc.start}") from exc
    return from_toml(text, str(path))
