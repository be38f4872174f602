"""The optimizers of the papers by name, and Muon."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch

from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Limits

# Muon: of the odd polynomial a x + b x^3 + c x^5 that pulls singular values towards 1 (Jordan et al.), five times over.
_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
# Updates as large in the mean as AdamW's, so that both take the same learning rate (Liu et al. 2025, arXiv:2502.16982).
_MEAN_UPDATE = 0.2
_MOMENTUM = 0.95
# Its part by AdamW.
_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


@dataclass(frozen=True)
class OptimizerConfig(Checked):
    """The optimizer; its learning rate and schedule are in `LoopConfig`."""

    name: Literal["adam", "adamw", "muon", "sgd"] = "adam"
    """Adam (papers 000/001), AdamW, Muon, or SGD with momentum."""
    weight_decay: Annotated[float, Limits(0, 1)] = 0.0
    """Weight decay; Adam and SGD add it to the gradient, AdamW and Muon take it off the weights."""
    momentum: Annotated[float, Limits(least=0, below=1)] = 0.99
    """Momentum of SGD; 0.99 in nnU-Net, 0.9 in BCP and CPS."""
    nesterov: bool = True
    """Whether SGD's momentum is Nesterov's, as in nnU-Net; SSL4MIS, BCP and MiDSS have the plain one."""
    averaging: Annotated[float, Limits(least=0, below=1)] = 0.0
    """Decay of the exponentially averaged copy that some methods validate and export; 0: it is the network itself."""

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer; the loop sets its learning rate at every step."""
        if self.name == "sgd":
            return torch.optim.SGD(
                parameters,
                1e-3,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                nesterov=self.nesterov and self.momentum > 0,
            )
        if self.name == "muon":
            return Muon(parameters, 1e-3, weight_decay=self.weight_decay)
        kind = torch.optim.Adam if self.name == "adam" else torch.optim.AdamW
        return kind(parameters, 1e-3, weight_decay=self.weight_decay)


class Muon(torch.optim.Optimizer):
    """3x3x3 convolutions between features by Muon; the first layer's, 1x1x1 ones, norms and biases by AdamW.

    Args:
        parameters: of a network.
        lr: learning rate of both.
        weight_decay: decoupled from the gradient, as AdamW's.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], lr: float = 1e-3, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient; `closure` is not supported and must be None."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                kind = self._by_muon if _is_hidden(weight) else self._by_adam
                weight.add_(kind(weight.grad, self.state[weight]), alpha=-group["lr"])

    @staticmethod
    def _by_muon(gradient: torch.Tensor, state: dict[str, Any]) -> torch.Tensor:
        if not state:
            state["mean"] = torch.zeros_like(gradient)
        mean = state["mean"].lerp_(gradient, 1 - _MOMENTUM)
        ahead = gradient.lerp(mean, _MOMENTUM).flatten(1)
        update = orthogonalised(ahead) * (_MEAN_UPDATE * math.sqrt(max(ahead.shape)))
        return update.view_as(gradient)

    @staticmethod
    def _by_adam(gradient: torch.Tensor, state: dict[str, Any]) -> torch.Tensor:
        if not state:
            state.update(step=0, mean=torch.zeros_like(gradient), square=torch.zeros_like(gradient))
        state["step"] += 1
        step = state["step"]
        mean = state["mean"].lerp_(gradient, 1 - _BETAS[0])
        square = state["square"].lerp_(gradient.square(), 1 - _BETAS[1])
        scale = (square / (1 - _BETAS[1] ** step)).sqrt_().add_(_EPSILON)
        return mean / (1 - _BETAS[0] ** step) / scale


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """The matrix [rows, columns] with all singular values brought to about 1 (0.7 to 1.2), by Newton-Schulz steps."""
    a, b, c = _POLYNOMIAL
    flat = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    flat = flat / (flat.norm() + 1e-7)
    # Each step multiplies by a polynomial of the Gram matrix, and such polynomials commute: so the long matrix is read
    # twice, whatever the number of steps.
    gram = flat @ flat.T
    one = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    product = one
    for _ in range(_ITERATIONS):
        factor = a * one + b * gram + c * gram @ gram
        product = factor @ product
        gram = factor @ gram @ factor
    flat = product @ flat
    return flat.T if matrix.shape[0] > matrix.shape[1] else flat


def _is_hidden(weight: torch.Tensor) -> bool:
    """Whether it is a convolution of some voxels between features: not a head's or a skip's 1x1x1, nor the first
    layer's of a single image; one that enlarges feature maps is.
    """
    return weight.dim() > 2 and weight.shape[1] > 1 and weight[0, 0].numel() > 1
