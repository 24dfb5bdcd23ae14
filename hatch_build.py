"""Compile the hot path with mypyc while a wheel is built: ``ODP_TRIO_COMPILE=1 pip install .``

Without that variable nothing is compiled, and neither mypy nor a C compiler is needed.
The source stays what it is: Python, which also runs as it is.  ``python hatch_build.py DIR`` compiles in place the copy
of the project that is in ``DIR``, for tests.
"""

from __future__ import annotations

import os
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ASKED = "ODP_TRIO_COMPILE"


class CompileHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds extension modules to a wheel if they are asked for."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Name what a build needs besides hatchling."""
        return list(self.config["requires"]) if wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and put what came out beside the source."""
        if not wanted() or self.target_name != "wheel" or version == "editable":
            return
        out = Path(tempfile.mkdtemp(prefix="odp-trio-build-"))
        for built in compile_modules(Path(self.root), out, self.config):
            build_data["force_include"][str(built)] = str(built.relative_to(out))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def wanted() -> bool:
    """Whether the environment asks for compiled modules."""
    return os.environ.get(ASKED, "") not in ("", "0")


def compile_modules(root: Path, out: Path, config: dict[str, Any]) -> list[Path]:
    """Compile into ``out``, laid out as packages are; return the files made.  Raises SystemExit where it fails."""
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    with chdir(root), tempfile.TemporaryDirectory() as scratch:
        extensions = mypycify(
            ["--config-file", os.devnull, *config["mypy"], *config["modules"]],
            opt_level="2",
            debug_level="0",
            target_dir=scratch,
            multi_file=True,  # as one unit it is 12 MB of C, which a compiler takes minutes for, on one processor
        )

        class SideBySide(build_ext):  # type: ignore[misc]
            """Compiles the units of an extension at the same time: setuptools takes one after the other."""

            def build_extensions(self) -> None:
                compile_some = self.compiler.compile

                def compile_all(sources: list[str], **options: Any) -> list[str]:
                    with ThreadPoolExecutor(os.cpu_count()) as pool:
                        made = pool.map(lambda source: compile_some([source], **options), sources)
                        return [name for names in made for name in names]

                self.compiler.compile = compile_all
                super().build_extensions()

        command = SideBySide(Distribution({"name": "odp_trio", "ext_modules": extensions}))
        command.build_lib, command.build_temp = str(out), scratch
        command.ensure_finalized()
        command.run()
        return [out / Path(name).relative_to(out) for name in command.get_outputs()]


if __name__ == "__main__":
    here = Path(sys.argv[1]).resolve()
    table = tomllib.loads((here / "pyproject.toml").read_text())
    compile_modules(here, here, table["tool"]["hatch"]["build"]["hooks"]["custom"])
