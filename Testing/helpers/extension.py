"""A small extension with all that the index asks for: the real files of this one, without library and weights."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from helpers.places import ROOT

NAMES = (
    "CMakeLists.txt", "CITATION.cff", "LICENSE.txt", "LiverMRISeg.json", "README.md", "LiverMRISeg/CMakeLists.txt",
    "LiverMRISeg/Resources/Icons/LiverMRISeg.png", "LiverMRISegLib/version.py",
    *(f"Resources/Screenshots/panel_{name}.png" for name in ("result", "over_time", "measure")),
)  # fmt: skip
CHANGES = "# Changelog\n\n## 0.1.0, 2026-02-01\n\n- The first.\n\n## 0.0.9, 2026-01-01\n\n- Before.\n"
_AUTHOR = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@b"}


def git(folder: Path, *arguments: str) -> str:
    """Run git; its output."""
    environment = {**os.environ, **_AUTHOR}
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, env=environment, check=True)
    return done.stdout.strip()


def make_extension(folder: Path) -> Path:
    """Write its files into a new folder."""
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "LiverMRISegLib" / "version.py").write_text('__version__ = "0.1.0"\n')
    (folder / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 0.1.0\n")
    (folder / "CHANGELOG.md").write_text(CHANGES)
    return folder


def commit(folder: Path, message: str = "change") -> str:
    """Commit all files, in a new repository if there is none; its hash."""
    if not (folder / ".git").exists():
        git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD")
