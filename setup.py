"""Ships Resources/ (models, catalog, icons) inside the wheel as LiverMRISegLib/Resources.

All else stands in pyproject.toml. An editable install reads Resources/ where it lies.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

NOT_SHIPPED = shutil.ignore_patterns("Screenshots", "__pycache__", ".*")


class BuildWithResources(build_py):
    """Copies the package as usual, then Resources/ into it."""

    def run(self) -> None:
        """Build; in an editable install there is nothing to copy."""
        super().run()
        if self.editable_mode:
            return
        source = Path(__file__).parent / "Resources"
        target = Path(self.build_lib) / "LiverMRISegLib" / "Resources"
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=NOT_SHIPPED)


setup(cmdclass={"build_py": BuildWithResources})
