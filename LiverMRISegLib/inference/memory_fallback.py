"""What to do when a GPU's memory is full: one step down at a time, and the user is told of every step.

The sum over tiles is always in the computer's own memory (`assembly.Canvas`), so that step is taken from the start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from LiverMRISegLib.errors import DeviceMemoryError
from LiverMRISegLib.inference.engines.engine import Engine
from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.models.catalog import smaller_model
from LiverMRISegLib.models.package.model_package import ModelPackage

logger = logging.getLogger(__name__)


class MemoryFallback:
    """One tile at a time, then a smaller model of the same organs if the catalog has one, then the CPU.

    `package` and `engine` are the ones to use now, `asked` is the package that was asked for; `taken` says in words
    which steps were taken.
    """

    def __init__(
        self, package: ModelPackage, engine: Engine, make: Callable[[ModelPackage, str], Engine] = load_engine
    ) -> None:
        self.package, self.engine = package, engine
        self.taken: list[str] = []
        self.asked, self._make = package, make

    @classmethod
    def load(
        cls, package: ModelPackage, device: str, make: Callable[[ModelPackage, str], Engine] = load_engine
    ) -> MemoryFallback:
        """`package` on `device`, or on the CPU where that has no room even for the network; errors as `make`'s."""
        try:
            return cls(package, make(package, device), make)
        except DeviceMemoryError as error:
            logger.warning("%s", error)
        made = cls(package, make(package, "cpu"), make)
        made.taken.append(f"the memory of the GPU was full: computed {package.spec.name} on the CPU")
        return made

    def descend(self, error: DeviceMemoryError) -> None:
        """Take the next step; `error` is raised again where there is none."""
        logger.warning("%s", error)
        device = self.engine.device
        if self.engine.batch > 1:
            self.engine.batch = 1
            self.taken.append(f"the memory of {device} was full: computed one tile at a time")
        elif device == "cpu":
            raise error
        elif self._uses_smaller(device):
            self.taken.append(f"the memory of {device} was full: used the smaller model {self.package.spec.name}")
        else:
            self._use(self.asked, "cpu")
            self.taken.append(f"the memory of {device} was full: computed {self.asked.spec.name} on the CPU")

    def _uses_smaller(self, device: str) -> bool:
        smaller = smaller_model(self.package.spec)
        try:
            if smaller is not None:
                self._use(smaller, device)
        except DeviceMemoryError as error:
            logger.warning("%s", error)
            return False
        return smaller is not None

    def _use(self, package: ModelPackage, device: str) -> None:
        self.package, self.engine = package, self._make(package, device)
