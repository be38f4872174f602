"""Make the repository that is published: one commit for each release, small enough for Slicer's ExtensionsIndex.

    python scripts/release.py                                       # a trial of this commit; nothing is kept
    python scripts/release.py 0.1.0 -o ../SlicerLiverMRISeg         # the first release, or the next one in that folder

The files are those of the checkout's last commit. A clone is checked by the index's rules (`extension_rules.py`), and
with --extensions-index by the index's own script. Nothing is pushed. How to publish: docs/how_to/publish.md.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from extension_rules import RULES, SIZE_LIMIT_MIB, Extension, size_mib
from extensions_index import run_index_script
from LiverMRISegLib.errors import InputError, LiverMRISegError, UsageError
from LiverMRISegLib.io.atomic_folder import atomic_folder

logger = logging.getLogger("release")

ROOT = Path(__file__).resolve().parents[1]
NAME = "LiverMRISeg"
_BRANCH = "main"
_VERSION = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True)
class Release:
    """What is released: a commit of `source` and what its files say of this version."""

    source: Path
    version: str
    commit: str
    changes: str
    is_trial: bool = False

    @property
    def tag(self) -> str:
        """The tag of its commit in the published history."""
        return f"v{self.version}"

    @property
    def message(self) -> str:
        """Of the commit and of the tag."""
        return f"{NAME} {self.version}\n\n{self.changes}\n\nMade from commit {self.commit}.\n"


def read_release(source: Path, version: str | None) -> Release:
    """What the last commit of `source` releases as `version`; None is a trial of the version it has.

    Raises:
        UsageError: there are changes without a commit, or version.py, CITATION.cff or CHANGELOG.md say something else.
    """
    commit = _git(source, "rev-parse", "HEAD")
    changed = _git(source, "status", "--porcelain").splitlines()
    if changed and version is not None:
        raise UsageError(
            f"{source}: changes without a commit ({changed[0][3:]}, {len(changed)} in all); commit them first"
        )
    if changed:
        logger.info("changes without a commit are not in the trial: %s", ", ".join(line[3:] for line in changed[:5]))
    own = _found(r'__version__ = "([^"]+)"', source / f"{NAME}Lib" / "version.py")
    if version is not None and (not _VERSION.fullmatch(version) or version != own):
        raise UsageError(f"version {version}: {NAME}Lib/version.py says {own}; a version is three numbers, as in 0.2.0")
    cited = _found(r"^version: (\S+)$", source / "CITATION.cff")
    if version is not None and cited != version:
        raise UsageError(f"CITATION.cff: says version {cited}; write {version}")
    changes = _found(rf"^(## {re.escape(own)}, .*?)(?=^## \d|\Z)", source / "CHANGELOG.md").strip()
    if version is not None and not re.match(rf"## {re.escape(own)}, \d{{4}}-\d\d-\d\d\n", changes):
        raise UsageError(
            f"CHANGELOG.md: no entry of {own} with its date; its heading must be like ## {own}, 2026-01-31"
        )
    return Release(source, own, commit, changes.partition("\n")[2].strip(), is_trial=version is None)


def make_repository(release: Release, folder: Path, restart: bool) -> None:
    """Add the release to the repository in `folder`, as one commit with a tag; an empty folder becomes a repository.

    Args:
        release: what to add.
        folder: of the repository, with or without a work tree; afterwards the work tree is the release.
        restart: drop all earlier releases.

    Raises:
        UsageError: the folder's history holds something else than releases before this one.
    """
    if not (folder / ".git").exists():
        _git(folder, "init", "-q", "-b", _BRANCH)
    tree = _git(release.source, "rev-parse", "HEAD^{tree}")
    earlier = [] if restart else _earlier_releases(folder)
    if release.tag in earlier:
        if _git(folder, "rev-parse", f"{release.tag}^{{tree}}") != tree:
            raise UsageError(f"version {release.version} was released with other files; raise the version")
    else:
        if earlier and _numbers(earlier[-1]) > _numbers(release.tag):
            raise UsageError(f"version {release.version}: {earlier[-1][1:]} was released before; give a newer version")
        _add_commit(release, folder, tree, earlier[-1] if earlier else None)
    _git(folder, "reset", "-q", "--hard")


def _add_commit(release: Release, folder: Path, tree: str, parent: str | None) -> None:
    """The commit and its tag; the files come from the source's own objects, none of its history."""
    borrowed = folder / ".git" / "objects" / "info" / "alternates"
    borrowed.write_text(_git(release.source, "rev-parse", "--path-format=absolute", "--git-path", "objects") + "\n")
    date = _git(release.source, "show", "-s", "--format=%cI", release.commit)
    more = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}  # the same files make the same commit again
    if release.is_trial:  # whoever releases is named in the history; a trial needs no name
        more |= {f"GIT_{who}_{what}": "trial" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    parents = ["-p", f"{parent}^{{commit}}"] if parent else []
    if parent is None:
        for tag in _git(folder, "tag").split():
            _git(folder, "tag", "-d", tag)
    commit = _git(folder, "commit-tree", tree, *parents, text=release.message, more=more)
    _git(folder, "symbolic-ref", "HEAD", f"refs/heads/{_BRANCH}")
    _git(folder, "update-ref", f"refs/heads/{_BRANCH}", commit)
    _git(folder, "tag", "-a", release.tag, "--cleanup=verbatim", "-F", "-", commit, text=release.message, more=more)
    shutil.rmtree(folder / ".git" / "logs", ignore_errors=True)  # these three would keep what a new history drops
    for name in ("ORIG_HEAD", "index"):
        (folder / ".git" / name).unlink(missing_ok=True)
    _git(folder, "repack", "-a", "-d", "-q")
    _git(folder, "prune")
    borrowed.unlink()
    _git(folder, "fsck", "--connectivity-only", "--no-dangling")


def _earlier_releases(folder: Path) -> list[str]:
    """Tags of the releases in the folder's history, the oldest first."""
    if not _git(folder, "branch", "--list", _BRANCH):
        return []
    tags = _git(folder, "tag", "--sort=version:refname", "--list", "v*").split()
    commits = _git(folder, "rev-list", _BRANCH).split()
    tagged = {_git(folder, "rev-parse", f"{tag}^{{commit}}") for tag in tags}
    if other := set(commits) - tagged:
        raise UsageError(f"{folder}: commit {min(other)[:10]} is not a release; give a folder that holds releases only")
    return tags


def check_clone(folder: Path, index: Path | None, python: str) -> None:
    """Check a clone of the repository by all rules.

    Raises:
        InputError: a rule is broken; the message names every one.
    """
    with tempfile.TemporaryDirectory(prefix="release-") as temporary:
        clone = Path(temporary) / "clone"
        _git(Path(temporary), "clone", "-q", folder.resolve().as_uri(), str(clone))
        extension = Extension(clone, NAME)
        broken = []
        for title, rule in RULES.items():
            problems = list(rule(extension))
            logger.info("%-30s %s", title, "; ".join(problems) or "ok")
            broken += problems
        logger.info("a clone takes %.1f MiB; the index allows %.0f", size_mib(clone), SIZE_LIMIT_MIB)
        if index is not None:
            broken += run_index_script(extension, folder, index, python)
    if broken:
        raise InputError(f"the index's rules are broken: {'; '.join(broken)}")


def publishable(release: Release, output: Path, restart: bool, index: Path | None, python: str) -> None:
    """Make or extend the repository in `output` and check it; broken rules or a kill leave it as it was.

    Raises:
        UsageError: `output` holds files that are in none of its releases, or no releases.
        InputError: a rule is broken.
    """
    if output.is_dir() and any(output.iterdir()):
        if not (output / ".git").is_dir():
            raise UsageError(f"{output}: is not empty and not a repository; give a new folder")
        if other := _git(output, "status", "--porcelain", "--ignored").splitlines():
            raise UsageError(f"{output}: {other[0][3:]} is in no release; move it away first")
    with atomic_folder(output, existing="replace") as folder:
        if (output / ".git").is_dir():
            shutil.copytree(output / ".git", folder / ".git", symlinks=True)
        make_repository(release, folder, restart)
        check_clone(folder, index, python)


def main(arguments: list[str] | None = None, source: Path = ROOT) -> int:
    """Parse, make, check; the exit status is that of the command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    given = _parser().parse_args(arguments)
    try:
        if (given.version is None) != (given.output is None):
            raise UsageError("give both a version and -o FOLDER for a release, none of them for a trial")
        release = read_release(source, given.version)
        with tempfile.TemporaryDirectory(prefix="release-") as temporary:
            output = given.output or Path(temporary) / "trial"
            publishable(release, output, given.restart, given.extensions_index, given.index_python)
    except LiverMRISegError as error:
        logger.error("%s", error)
        return error.exit_status
    if given.output is None:
        logger.info("the trial of %s %s passed; nothing was kept", NAME, release.version)
    else:
        what = "--force --prune origin 'refs/heads/*' 'refs/tags/*'" if given.restart else f"origin main {release.tag}"
        logger.info("publish it with: git -C %s push --atomic %s", given.output, what)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "version", nargs="?", help="of the release, as in LiverMRISegLib/version.py; omit it for a trial"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="the repository of releases, new or extended"
    )
    parser.add_argument("--restart", action="store_true", help="begin the history anew: earlier releases and tags go")
    parser.add_argument("--extensions-index", type=Path, metavar="DIR", help="a checkout of Slicer/ExtensionsIndex")
    parser.add_argument(
        "--index-python", default=sys.executable, metavar="PYTHON", help="runs the index's script (3.12 or newer)"
    )
    return parser


def _git(folder: Path, *arguments: str, text: str = "", more: Mapping[str, str] | None = None) -> str:
    """Run git in a folder; its output without the last line break. InputError if it fails."""
    if shutil.which("git") is None:
        raise UsageError("git is not installed; install it")
    environment = {k: v for k, v in os.environ.items() if k not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, input=text, capture_output=True, text=True, env={**environment, **(more or {})}
    )
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise InputError(f"{folder}: git {arguments[0]} failed: {reason}")
    return done.stdout.rstrip("\n")


def _found(pattern: str, path: Path) -> str:
    """The first group of a pattern in a file; UsageError without it."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise UsageError(f"{path.name}: names no version as a release needs it (searched for {pattern})")
    return found[1]


def _numbers(tag: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", tag))


if __name__ == "__main__":
    sys.exit(main())
