"""Run the ExtensionsIndex's own script on a release that is not online yet.

`scripts/check_description_files.py` of Slicer/ExtensionsIndex clones the repository and downloads the schema, the
pictures and the topics. Git is told to clone the release instead (`url.insteadOf`); this file, run as a program by the
index's Python, answers the downloads from the release and from the checkout of the index. The script itself is not
changed.
"""

from __future__ import annotations

import json
import logging
import mimetypes
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from extension_rules import Extension, raw_addresses

logger = logging.getLogger("release")

_SCRIPT = Path("scripts") / "check_description_files.py"
_SECONDS = 300


def run_index_script(extension: Extension, release: Path, index: Path, python: str) -> list[str]:
    """The problems that the index's script finds.

    Args:
        extension: a clone of the release.
        release: the repository of the release.
        index: a checkout of Slicer/ExtensionsIndex; it is copied, not changed.
        python: the interpreter for the script: 3.12 or newer, with jsonschema and requests.
    """
    if not (index / _SCRIPT).is_file():
        return [f"{index}: is not a checkout of Slicer/ExtensionsIndex, {_SCRIPT} is missing"]
    with tempfile.TemporaryDirectory(prefix="index-") as temporary:
        folder = Path(temporary) / "index"
        shutil.copytree(index, folder, ignore=shutil.ignore_patterns(".git"))
        entry = f"{extension.name}.json"
        shutil.copy(extension.folder / entry, folder / entry)
        instead = {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{release.resolve().as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": str(extension.entry.get("scm_url")),
        }
        command = [python, __file__, str(_SCRIPT), entry, str(extension.folder)]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, env={**os.environ, **instead}
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return [f"the index's script could not be run by {python}: {error}"]
    for line in re.findall(r"^.*:(?:white_check_mark|x): .*$", done.stdout, re.MULTILINE):
        logger.info("index: %s", line.removeprefix("- ").replace(":white_check_mark:", "ok,").replace(":x:", "FAILED,"))
    if done.returncode == 0:
        return []
    failed = re.findall(r"^.*:x: (.*)$", done.stdout, re.MULTILINE)
    last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return [f"index: {line}" for line in failed] or [f"the index's script ended early under {python}: {last}"]


class _Answer:
    """What the index's script uses of a requests.Response."""

    def __init__(self, content: bytes, kind: str) -> None:
        self.status_code, self.content, self.text = 200, content, ""
        self.headers = {"Content-Type": kind}

    def raise_for_status(self) -> None:
        """It was found."""

    def json(self) -> Any:
        """The content as a document."""
        return json.loads(self.content)


def _answer(url: str, index: Path, release: Path, entry: dict[str, Any]) -> _Answer | None:
    """What will be at an address once the release is published; None if the script would get an error."""
    if url.endswith("/topics"):
        return _Answer(b'{"names": ["3d-slicer-extension"]}', "application/json")  # set by hand, docs/how_to/publish.md
    path = index / "schemas" / url.rpartition("/")[2]
    for start in raw_addresses(entry["scm_url"].removesuffix(".git"), entry.get("scm_revision", "main")):
        if url.startswith(start):
            path = release / url.removeprefix(start)
    if not path.is_file():
        return None
    return _Answer(path.read_bytes(), mimetypes.guess_type(path.name)[0] or "application/octet-stream")


def _as_if_online(script: str, entry_file: str, release: str) -> None:
    """Run the index's script in this process, with its downloads answered from files."""
    import requests

    entry = json.loads(Path(entry_file).read_text(encoding="utf-8"))

    def get(url: str, **_: object) -> _Answer:
        """The file that will be at `url`; an error as of requests if none will."""
        answer = _answer(url, Path.cwd(), Path(release), entry)
        if answer is None:
            raise requests.RequestException(f"nothing will be at {url}")
        return answer

    requests.get = get  # type: ignore[assignment]
    sys.argv = [script, entry_file]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    _as_if_online(*sys.argv[1:])
