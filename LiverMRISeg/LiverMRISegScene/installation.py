"""The packages that the module needs beyond Slicer's own: whether they are installed, and how to install them.

Nothing is installed without asking. torch is never installed by pip, only by the PyTorch extension; without torch,
models run on the CPU with OpenVINO.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from LiverMRISegLib.errors import LiverMRISegError
from LiverMRISegLib.inference.engines.devices import list_devices, support_of
from LiverMRISegLib.inference.processes import NO_WINDOW
from LiverMRISegLib.models.catalog import user_folder
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.interpreter import worker_python

_REQUIREMENTS = Path(__file__).resolve().parents[1] / "Resources" / "requirements.txt"
_SHOWN = ("numpy", "SimpleITK", "safetensors", "openvino", "torch")
_LEAST_DISK_GB = 2.0
_TORCH_SECONDS = 120


@dataclass(frozen=True)
class CheckLine:
    """One line of the check; `remedy` is empty if all is well."""

    title: str
    value: str
    remedy: str = ""


def requirements() -> list[str]:
    """The lines of Resources/requirements.txt."""
    lines = [line.split("#")[0].strip() for line in _REQUIREMENTS.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line]


def missing_requirements() -> list[str]:
    """The requirements that are not installed, or too old."""
    return [requirement for requirement in requirements() if not _is_met(requirement)]


def install_missing(confirm: Callable[[str], bool], pip_install: Callable[[Sequence[str]], None] | None = None) -> bool:
    """Install missing requirements, after asking; False if the user declined.

    Args:
        confirm: asks a question, True for yes.
        pip_install: installs requirements; by default Slicer's own way.

    Raises:
        LiverMRISegError: the installation failed; the message gives the reason.
    """
    missing = missing_requirements()
    if not missing:
        return True
    ensure = _slicer_pip_ensure() if pip_install is None else None
    try:
        if ensure is not None:
            return _ensured(ensure, missing)
        if not confirm(
            _("LiverMRISeg needs these Python packages: {names}. Install them now?").format(names=", ".join(missing))
        ):
            return False
        (pip_install or _slicer_pip_install)(missing)
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        raise LiverMRISegError(
            f"installing {', '.join(missing)} failed: {_reason(error)}; check the network connection, or ask your "
            "administrator"
        ) from error
    return True


def install_torch(confirm: Callable[[str], bool]) -> bool:
    """Install torch by the PyTorch extension, after asking; False if the user declined.

    Raises:
        LiverMRISegError: the extension is absent, or it failed.
    """
    if importlib.util.find_spec("PyTorchUtils") is None:
        raise LiverMRISegError(
            "the PyTorch extension is not installed; install it in the Extensions Manager and restart Slicer"
        )
    if not confirm(_("Install PyTorch for GPUs with the PyTorch extension? The download has several gigabytes.")):
        return False
    import PyTorchUtils

    try:
        return PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=False) is not None
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        raise LiverMRISegError(f"installing PyTorch failed: {_reason(error)}") from error


def check_installation() -> list[CheckLine]:
    """Versions, devices, memory and disk space, each with what to do if something is wrong."""
    missing = ", ".join(missing_requirements())
    remedy = _("missing: {names}; click Install requirements").format(names=missing) if missing else ""
    lines = [
        CheckLine(_("System"), platform.platform()),
        *_slicer_lines(),
        CheckLine(_("Python"), platform.python_version()),
        CheckLine(_("Worker"), Path(worker_python()).name),
        *(CheckLine(name, _version(name) or _("not installed")) for name in _SHOWN),
        CheckLine(_("Requirements"), _("not complete") if missing else _("complete"), remedy),
    ]
    return [*lines, _engine_line(), *_device_lines(), *_disk_lines()]


def as_text(lines: Sequence[CheckLine]) -> str:
    """One line each, with the remedy after an arrow."""
    return "\n".join(f"{line.title}: {line.value}" + (f"  ->  {line.remedy}" if line.remedy else "") for line in lines)


def _reason(error: Exception) -> str:
    """In words; of pip itself only the exit status is known here."""
    if isinstance(error, subprocess.CalledProcessError):
        return _("pip ended with exit status {n} (its messages are in the Python console)").format(n=error.returncode)
    return str(error)


def _is_met(requirement: str) -> bool:
    name, _, least = requirement.partition(">=")
    version = _version(name.strip())
    return version is not None and (not least or _numbers(version) >= _numbers(least))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])


def _slicer_pip_ensure() -> Callable[..., object] | None:
    """The installation dialog of Slicer 5.12, which asks, shows progress and offers a restart; None in 5.10."""
    try:
        import slicer.packaging
    except ImportError:
        return None
    return getattr(slicer.packaging, "pip_ensure", None)


def _ensured(ensure: Callable[..., object], missing: Sequence[str]) -> bool:
    """It raises RuntimeError when the user declines, but not only then; under --testing it installs nothing."""
    try:
        ensure(list(missing), requester="LiverMRISeg")
    except RuntimeError as error:
        if "declined" not in str(error):
            raise
        return False
    return not missing_requirements()


def _slicer_pip_install(missing: Sequence[str]) -> None:
    """As in Slicer 5.10; the user was asked before."""
    import slicer

    slicer.util.pip_install(" ".join(f'"{requirement}"' for requirement in missing))


def _slicer_lines() -> list[CheckLine]:
    """The version of the application, if there is one."""
    import slicer

    version = getattr(getattr(slicer, "app", None), "applicationVersion", "")
    return [CheckLine("Slicer", str(version))] if version else []


def _engine_line() -> CheckLine:
    if _version("openvino"):
        return CheckLine(_("CPU engine"), "OpenVINO")
    if _version("torch"):
        return CheckLine(_("CPU engine"), "PyTorch")
    return CheckLine(_("CPU engine"), _("none"), _("click Install requirements"))


def _device_lines() -> list[CheckLine]:
    devices = list_devices()
    architectures = _torch_architectures() if _version("torch") and len(devices) > 1 else []
    lines = []
    for device in devices:
        if device.id == "cpu":
            lines.append(CheckLine(_("CPU"), device.title.removeprefix("CPU, ")))
            continue
        no_torch = "" if _version("torch") else _("to use it, click Install PyTorch")
        text = device.title + (f", driver {device.driver}, compute {device.capability}" if device.driver else "")
        lines.append(CheckLine(_("GPU"), text, no_torch or support_of(device, architectures)))
    if len(devices) == 1:
        lines.append(CheckLine(_("GPU"), _("none found; the CPU is used")))
    return lines


def _torch_architectures() -> list[str]:
    """The GPU architectures of the installed torch; asked in a child process, so that Slicer does not import torch."""
    code = "import torch; print(' '.join(torch.cuda.get_arch_list()))"
    try:
        done = subprocess.run(
            [worker_python(), "-c", code],
            capture_output=True,
            text=True,
            timeout=_TORCH_SECONDS,
            check=True,
            creationflags=NO_WINDOW,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.split()


def _disk_lines() -> list[CheckLine]:
    models = user_folder()
    existing = next(folder for folder in (models, *models.parents) if folder.exists())
    lines = []
    for title, folder in ((_("Temporary folder"), Path(tempfile.gettempdir())), (_("Model folder"), existing)):
        free = shutil.disk_usage(folder).free / 1e9
        remedy = (
            _("less than {n:.0f} GB is free; delete some files").format(n=_LEAST_DISK_GB)
            if free < _LEAST_DISK_GB
            else ""
        )
        lines.append(CheckLine(title, _("{n:.0f} GB free").format(n=free), remedy))
    return lines
