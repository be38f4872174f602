"""The rules of Slicer's ExtensionsIndex, as far as files show whether they are kept. `scripts/release.py` runs them.

Sources, read at these commits: Slicer/ExtensionsIndex 07f1d1b (`scripts/check_description_files.py`, its schema v1.0.2,
`.pre-commit-config.yaml`, `.github/PULL_REQUEST_TEMPLATE.md`) and Slicer/Slicer 583e9b3
(`Extensions/CMake/SlicerExtensionDescriptionSpec.cmake`, `SlicerFunctionGenerateExtensionDescription.cmake`,
`Docs/developer_guide/extensions.md`). What only GitHub or a person can tell is listed in docs/how_to/publish.md.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SIZE_LIMIT_MIB = 100.0
_ICON_PIXELS = (128, 128)
_PICTURES = (".png", ".jpg", ".jpeg", ".gif")
_LARGEST_TIER = 5
_KEYS: dict[str, type] = {
    "$schema": str, "category": str, "scm_url": str, "scm_revision": str, "scm_type": str, "build_dependencies": list,
    "dicom_support_rule": str, "build_subdirectory": str, "enabled": bool, "tier": int,
}  # fmt: skip
_REQUIRED = ("$schema", "category", "scm_url")
_SCHEMA = re.compile(r"https://raw\.githubusercontent\.com/Slicer/Slicer/main/Schemas/[\w.-]+-v1\.0\.\d\.json#?")
_CATEGORIES = (
    "Active Learning|Analysis|Auto3dgm|BigImage|Cardiac|Chest Imaging Platform|Conda|Converters|DICOM|DSCI|"
    "Developer Tools|Diffusion|Examples|Exporter|FTV Segmentation|Filtering|Filtering.Morphology|"
    "Filtering.Vesselness|Holographic Display|Image Synthesis|IGT|Informatics|Netstim|Neuroimaging|"
    "Nuclear Medicine|Orthodontics|Osteotomy Planning|Otolaryngology|Photogrammetry|Pipelines|Planning|"
    "Printing|Quantification|Radiotherapy|Registration|Remote|Rendering|SPHARM|Segmentation|Sequences|"
    "Shape Analysis|Shape Regression|Shape Visualization|Simulation|SlicerCMF|SlicerMorph|Spectral Imaging|"
    "Supervisely|Surface Models|SurfaceLearner|Tomographic Reconstruction|Tracking|Tractography|Training|"
    "Ultrasound|Utilities|Vascular Modeling Toolkit|Virtual Reality|VisSimTools|Web System Tools|Wizards"
)
# Windows cannot check out such a file.
_NOT_ON_WINDOWS = re.compile(r'[<>:"\\|?*\x00-\x1f]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)

Problems = Iterator[str]


@dataclass(frozen=True)
class Extension:
    """A checkout of an extension, with its catalog entry and what its CMakeLists.txt says of it."""

    folder: Path
    name: str

    @cached_property
    def entry_text(self) -> str:
        """The catalog entry as it is written; empty without one."""
        path = self.folder / f"{self.name}.json"
        return path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""

    @cached_property
    def entry(self) -> dict[str, Any]:
        """The catalog entry; empty if it cannot be read."""
        try:
            content = json.loads(self.entry_text)
        except (ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    @cached_property
    def cmake(self) -> str:
        """The text of the top CMakeLists.txt."""
        return self._text("CMakeLists.txt")

    @cached_property
    def readme(self) -> str:
        """The text of README.md, which is the home page."""
        return self._text("README.md")

    @cached_property
    def said(self) -> dict[str, str]:
        """What EXTENSION_* variables are set to, by the rest of their names, as the index reads them: without CMake."""
        return dict(re.findall(r'set\s*\(EXTENSION_(\w+)\s*"?([^"\n]*?)"?\s*\)', self.cmake))

    @property
    def repository(self) -> str:
        """`scm_url` without its ending."""
        return str(self.entry.get("scm_url", "")).strip().strip("/").removesuffix(".git")

    def _text(self, name: str) -> str:
        path = self.folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def entry_file(extension: Extension) -> Problems:
    """Index: check_json_file_format, and the linter of its files (prettier, one item of a list a line)."""
    name = f"{extension.name}.json"
    if not extension.entry:
        yield f"{name}: missing, or no JSON object"
    elif extension.entry_text != json.dumps(extension.entry, indent=2, ensure_ascii=False) + "\n":
        yield f"{name}: not as the index's linter writes it: indent 2, every list item on a line, LF, one LF at the end"


def entry_keys(extension: Extension) -> Problems:
    """Index: check_json_schema."""
    for key in _REQUIRED:
        if not extension.entry.get(key):
            yield f"{key} is missing"
    for key, value in extension.entry.items():
        if key not in _KEYS:
            yield f"{key} is not in the schema"
        elif type(value) is not _KEYS[key]:
            yield f"{key} must be of type {_KEYS[key].__name__}"
    tier = extension.entry.get("tier", 1)
    if isinstance(tier, int) and not 1 <= tier <= _LARGEST_TIER:
        yield f"tier is {tier}, not 1 to {_LARGEST_TIER}"
    if not _SCHEMA.fullmatch(str(extension.entry.get("$schema"))):
        yield "$schema is not the address of a schema of Slicer's catalog entries"


def names(extension: Extension) -> Problems:
    """Index: check_extension_name, check_category, check_scm_url_syntax, check_git_repository_name."""
    if extension.name.lower().startswith("slicer"):
        yield "the extension's name must not begin with Slicer"
    if extension.entry.get("category") not in _CATEGORIES.split("|"):
        yield f"the category {extension.entry.get('category')!r} is unknown to the index"
    if urlsplit(extension.repository).scheme not in ("git", "https"):
        yield "scm_url must begin with https:// or git://"
    if extension.repository.rpartition("/")[2] != f"Slicer{extension.name}":
        yield f"the repository must be named Slicer{extension.name}"


def cmake_values(extension: Extension) -> Problems:
    """Index: check_cmakelists_content, and the pull request's list: the entry agrees with CMake.

    Slicer passes the values on unquoted and reads URLs literally (SlicerFunctionGenerateExtensionDescription.cmake).
    """
    project = re.search(r"project\s*\(\s*([^\s)]+)", extension.cmake, re.IGNORECASE)
    if project is None or project[1].strip("\"'") != extension.name:
        yield f"CMakeLists.txt: project() does not name {extension.name}"
    for name in ("HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS"):
        text = extension.said.get(name, "")
        if not text:
            yield f"CMakeLists.txt: EXTENSION_{name} is not set"
        if set(text) & set(";$"):
            yield f"CMakeLists.txt: EXTENSION_{name} must have no ; and no variables"
    if extension.said.get("HOMEPAGE", "") != extension.repository:
        yield "CMakeLists.txt: EXTENSION_HOMEPAGE is not the repository of scm_url"
    pairs = {
        "CATEGORY": extension.entry.get("category"),
        "TIER": str(extension.entry.get("tier", 1)),
        "DICOM_SUPPORT_RULE": extension.entry.get("dicom_support_rule", ""),
        "DEPENDS": " ".join(map(str, extension.entry.get("build_dependencies") or ["NA"])),
    }
    for name, value in pairs.items():
        if extension.said.get(name, "") != value:
            yield f"CMakeLists.txt: EXTENSION_{name} is not what {extension.name}.json says, {value!r}"


def pictures(extension: Extension) -> Problems:
    """Index: validate_image_url; Slicer: no parameters in URLs, an icon of 128 x 128.

    Checked in the tree, since a release is not online yet.
    """
    icons = extension.said.get("ICONURL", "").split()
    for url in (*icons, *extension.said.get("SCREENSHOTURLS", "").split()):
        path = _path_in_tree(extension, url)
        if path is None:
            yield f"{url}: must be the raw address of a picture on the branch {extension.entry.get('scm_revision')}"
        elif not path.is_file():
            yield f"{url}: there is no such file in the release"
        elif url in icons and _png_size(path) != _ICON_PIXELS:
            yield f"{url}: the icon must be a PNG of 128 x 128 pixels"


def description(extension: Extension) -> Problems:
    """The pull request's list: one or two sentences, on one line."""
    sentences = re.findall(r"[^.]+\.", extension.said.get("DESCRIPTION", ""))
    if not 1 <= len(sentences) <= 2:
        yield f"CMakeLists.txt: EXTENSION_DESCRIPTION has {len(sentences)} sentences; the index asks for one or two"


def home_page(extension: Extension) -> Problems:
    """The pull request's list of what the home page must say."""
    page = extension.readme
    if not page.startswith(f"# {extension.name}\n"):
        yield "README.md: does not begin with the extension's name"
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page)
    if not any((extension.folder / path).is_file() for path in shown):
        yield "README.md: shows no picture of the extension"
    modules = _section(page, "Modules")
    for path in sorted(extension.folder.glob("*/CMakeLists.txt")):
        if "slicerMacroBuildScriptedModule" in path.read_text(encoding="utf-8") and path.parent.name not in modules:
            yield f"README.md: the section Modules says nothing of {path.parent.name}"
    if not _section(page, "Cite").strip():
        yield "README.md: has no section Cite"
    if not re.search(r"\bpatents?\b", page, re.IGNORECASE):
        yield "README.md: does not say whether patents are known"


def licence(extension: Extension) -> Problems:
    """Index: check_license_file; the list asks for LICENSE.txt and for its name on the home page."""
    if not (extension.folder / "LICENSE.txt").is_file():
        yield "LICENSE.txt: missing"
    if not re.search(r"\bLICENSE\.txt\b", extension.readme):
        yield "README.md: does not name LICENSE.txt"


def file_names(extension: Extension) -> Problems:
    """Tier 3: the extension is built on Windows and macOS too, where case does not tell files apart."""
    seen: dict[str, str] = {}
    for path in sorted(extension.folder.rglob("*")):
        name = path.relative_to(extension.folder).as_posix()
        if name == ".git" or name.startswith(".git/"):
            continue
        if _NOT_ON_WINDOWS.search(path.name):
            yield f"{name}: Windows has no such file names"
        if (other := seen.setdefault(name.lower(), name)) != name:
            yield f"{name}: differs from {other} in case alone"


def size(extension: Extension) -> Problems:
    """Index: check_repository_size, of a whole clone with its history."""
    mebibytes = size_mib(extension.folder)
    if mebibytes > SIZE_LIMIT_MIB:
        yield (
            f"a clone takes {mebibytes:.1f} MiB, the index allows {SIZE_LIMIT_MIB:.0f}; release with --restart, which "
            "begins the history anew, or make the files smaller"
        )


RULES: dict[str, Callable[[Extension], Problems]] = {
    "the catalog entry's form": entry_file,
    "the catalog entry's keys": entry_keys,
    "names, category and address": names,
    "what CMakeLists.txt says": cmake_values,
    "icon and screenshots": pictures,
    "description": description,
    "home page": home_page,
    "licence": licence,
    "file names": file_names,
    "size of a clone": size,
}


def size_mib(folder: Path) -> float:
    """All files of a folder, in MiB, as the index counts them."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def raw_addresses(repository: str, branch: str | None) -> tuple[str, str]:
    """How the addresses of a branch's files begin, as they are."""
    owner_and_name = urlsplit(repository).path.strip("/")
    return f"{repository}/raw/{branch}/", f"https://raw.githubusercontent.com/{owner_and_name}/{branch}/"


def _path_in_tree(extension: Extension, url: str) -> Path | None:
    """The file of the checkout that a raw address of its repository will show; None for any other address."""
    for start in raw_addresses(extension.repository, extension.entry.get("scm_revision")):
        if url.startswith(start) and url.lower().endswith(_PICTURES):
            return extension.folder / url.removeprefix(start)
    return None


def _png_size(path: Path) -> tuple[int, int] | None:
    """Width and height of a PNG by its header; None for other files."""
    head = path.read_bytes()[:24]
    if len(head) < 24 or not head.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def _section(page: str, title: str) -> str:
    """The text under a heading of the second level."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""
