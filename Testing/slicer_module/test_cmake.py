"""The extension as CMake builds, installs, packages and announces it.

By macros that stand for Slicer's wherever there is CMake; by Slicer's and CTK's own where SLICER_PYTHON_DIR names a
checkout of Slicer with one of CTK beside it (Testing/slicer_host/README.md).
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from helpers.places import ROOT

CMAKE_FOLDER = ROOT / "Testing" / "slicer_host" / "cmake"
# As the application, as far as slicer.testing needs it, on a computer that has only Slicer's own packages.
LAUNCHER = """#!{python}
import importlib.metadata, sys

def version(name, real=importlib.metadata.version):
    if name == "openvino":
        raise importlib.metadata.PackageNotFoundError(name)
    return real(name)

importlib.metadata.version = version
sys.path[:0] = {path!r}
from slicer_host import start
start()
import slicer
from slicer_host.application import import_file, slicer_file
slicer.testing = import_file("slicer.testing", slicer_file("testing.py"))
exec(sys.argv[sys.argv.index("--python-code") + 1])
"""


def cmake(*arguments: object, program: str = "cmake", folder: Path = ROOT) -> str:
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def tree(folder: str, base: str, pattern: str = "*") -> set[str]:
    files = [p for p in (ROOT / folder).rglob(pattern) if p.is_file() and "__pycache__" not in p.parts]
    return {p.relative_to(ROOT / base).as_posix() for p in files if not p.name.startswith(".")}


def files_of_the_extension() -> set[str]:
    models = {f"LiverMRISegLib/{name}" for name in tree("Resources/models", ".")}
    library = tree("LiverMRISegLib", ".", "*.py")
    return models | library | tree("LiverMRISeg", "LiverMRISeg", "*.py") | tree("LiverMRISeg/Resources", "LiverMRISeg")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of scripted modules, as CMake installs it with macros that stand for Slicer's."""
    if shutil.which("cmake") is None:
        pytest.skip("of CMake: cmake is not installed")
    folder = tmp_path_factory.mktemp("cmake")
    cmake("-S", ROOT, "-B", folder / "build", f"-DSlicer_DIR={CMAKE_FOLDER}")
    cmake("--install", folder / "build", "--prefix", folder / "tree", "--component", "RuntimeLibraries")
    return folder / "tree" / "lib" / "qt-scripted-modules"


def test_every_file_is_packaged(installed):
    found = {p.relative_to(installed).as_posix() for p in installed.rglob("*") if p.is_file()}
    assert found == files_of_the_extension()


def test_the_installed_tree_works_alone(installed):
    """Without the checkout: the library is imported from there, and finds the models."""
    code = (
        "import LiverMRISegScene.bases, LiverMRISegLib; from LiverMRISegLib.models.catalog import find_model; "
        "print(LiverMRISegLib.__file__, find_model('liver-any-sequence'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=installed)
    assert done.returncode == 0, done.stderr
    assert all(path.startswith(str(installed)) for path in done.stdout.split())


@pytest.fixture(scope="module")
def built_by_slicer(tmp_path_factory):
    """A build folder, configured and packaged by Slicer's own macros; uploaded.txt is what the server would get."""
    if shutil.which("cmake") is None:
        pytest.skip("of CMake: cmake is not installed")
    slicer, ctk = checkouts()
    folder = tmp_path_factory.mktemp("own")
    upload = folder / "upload"
    upload.write_text(
        f"#!{sys.executable}\nimport sys\nopen({str(folder / 'uploaded.txt')!r}, 'w').write(repr(sys.argv))\n"
    )
    launcher = folder / "Slicer"
    launcher.write_text(LAUNCHER.format(python=sys.executable, path=[str(ROOT / "Testing"), str(ROOT)]))
    for program in (upload, launcher):
        program.chmod(0o755)
    build = folder / "build"
    cmake(
        "-Wno-dev", "-S", ROOT, "-B", build, f"-DSlicer_DIR={CMAKE_FOLDER / 'own'}", f"-DSLICER_CHECKOUT={slicer}",
        f"-DCTK_CHECKOUT={ctk}", f"-DPYTHON_EXECUTABLE={sys.executable}", f"-DLAUNCHER={launcher}",
        f"-DSLICER_EXTENSION_MANAGER_CLIENT_EXECUTABLE={upload}",
    )  # fmt: skip
    shutil.copy(ROOT / "LiverMRISeg.json", build)  # as Slicer's factory does
    cmake("--build", build, "--target", "packageupload")
    return build


def checkouts() -> tuple[Path, Path]:
    """Those of Slicer and CTK."""
    folder = os.environ.get("SLICER_PYTHON_DIR")
    if not folder:
        pytest.skip("of Slicer's own CMake macros: SLICER_PYTHON_DIR names no checkout of Slicer")
    slicer, ctk = Path(folder).parents[2], Path(folder).parents[3] / "CTK"
    if not (ctk / "CMake").is_dir() or not (slicer / "CMake").is_dir():
        pytest.skip("of Slicer's own CMake macros: the checkout of Slicer has no folder CMake, or no CTK beside it")
    needed = re.search(r"VERSION ([\d.]+)\.\.\.", (slicer / "CMake" / "UseSlicerMacros.cmake").read_text())
    here = re.search(r"version ([\d.]+)", cmake("--version"))
    if needed and here and numbers(here[1]) < numbers(needed[1]):
        pytest.skip(f"of Slicer's own CMake macros: they need CMake {needed[1]}, this is {here[1]}")
    return slicer, ctk


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def test_slicers_own_macros_package_the_same_files(built_by_slicer):
    package = next(built_by_slicer.glob("*.tar.gz"))
    with tarfile.open(package) as archive:
        names = {name.partition("/qt-scripted-modules/")[2] for name in archive.getnames() if "." in Path(name).name}
    scripts = {name for name in files_of_the_extension() if name.endswith(".py")}
    assert names - {""} == files_of_the_extension() | {f"{name}c" for name in scripts}  # CTK compiles them


def test_what_the_extension_server_gets(built_by_slicer):
    given = re.findall(r"'--(\w+)', (?:'([^']*)'|\"([^\"]*)\")", (built_by_slicer.parent / "uploaded.txt").read_text())
    said = {name: plain or quoted for name, plain, quoted in given}
    entry = json.loads((ROOT / "LiverMRISeg.json").read_text())
    assert (said["name"], said["category"]) == ("LiverMRISeg", entry["category"])
    if "tier" in said:  # Slicer 5.10 sends neither tier nor rule
        assert said["tier"] == str(entry["tier"])
        assert said["dicom_support_rule"] == entry["dicom_support_rule"] == "Modality == 'MR'"
    assert said["dependency"].split() == entry["build_dependencies"]
    assert said["homepage"] == entry["scm_url"].removesuffix(".git")
    assert said["icon_url"].endswith("/LiverMRISeg.png")
    assert "licensed for research only" in said["desc"]
    assert said["desc"].endswith(".")


def test_ctest_is_green_without_installed_packages(built_by_slicer):
    """By the real slicer.testing.runUnitTest: skipped, in words."""
    pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
    pytest.importorskip("slicer")
    said = cmake("-R", "^py_LiverMRISeg$", "-V", program="ctest", folder=built_by_slicer)
    assert "OK (skipped=1)" in said
    assert "these Python packages are not installed: openvino" in said
