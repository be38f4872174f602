"""nnU-Net's plain and residual-encoder U-Nets, of dynamic-network-architectures, without the doubles in their state.

That package registers most tensors under two or three names. The state here has each once, by the name that nnU-Net's
checkpoints also have (methods.md 10.4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.networks.instance_norm import InstanceNorm3d
from LiverMRISegLib.networks.sizes import PLAIN, check_nnunet

_ALIASES = (".all_modules.", "decoder.encoder.")


class NnUNet(nn.Module):
    """One of the two networks by plain arguments; `features`, `strides` and `blocks` are per stage, finest first.

    Args:
        kind: "plain-unet" or "residual-encoder-unet".
        in_channels: image channels.
        out_channels: classes, background included.
        features: channels of the stages.
        strides: triples [Z, Y, X], the first [1, 1, 1].
        blocks: residual blocks of the stages (nnU-Net: 1, 3, 4, 6, 6, 6), or convolutions (plain; nnU-Net: 2 each).
        kernels: triples, 3 x 3 x 3 everywhere by default.
        deep_supervision: whether `forward` returns the logits of all decoder stages.

    Raises:
        UsageError: arguments that do not fit together, or dynamic-network-architectures is not installed.
    """

    def __init__(
        self,
        kind: str,
        in_channels: int,
        out_channels: int,
        *,
        features: Sequence[int],
        strides: Sequence[Sequence[int]],
        blocks: Sequence[int],
        kernels: Sequence[Sequence[int]] = (),
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        check_nnunet(features, strides, blocks, kernels)
        try:
            from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
            from dynamic_network_architectures.initialization.weight_init import init_last_bn_before_add_to_0
        except ImportError as error:
            raise UsageError("this network needs: pip install dynamic-network-architectures") from error
        levels = len(features) - 1
        decoder = [2 if kind == PLAIN else 1] * levels
        make = PlainConvUNet if kind == PLAIN else ResidualEncoderUNet
        self._network = make(
            in_channels,
            len(features),
            list(features),
            nn.Conv3d,
            [list(k) for k in kernels] or 3,
            [list(s) for s in strides],
            list(blocks),
            out_channels,
            decoder,
            conv_bias=True,
            norm_op=InstanceNorm3d,
            norm_op_kwargs={"eps": 1e-5, "affine": True},
            nonlin=nn.LeakyReLU,
            nonlin_kwargs={"inplace": True},
            deep_supervision=deep_supervision,
        )
        self._network.apply(_initialise)
        self._network.apply(init_last_bn_before_add_to_0)  # residual blocks begin as their skip alone

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Logits [B, out_channels, Z, Y, X]; with deep supervision a tuple, full resolution first."""
        outputs = self._network(x)
        return tuple(outputs) if isinstance(outputs, list) else outputs

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Every tensor once."""
        if args or kwargs.get("prefix"):  # as a part of another module
            whole: dict[str, Any] = super().state_dict(*args, **kwargs)
            return whole
        return dict(once(self._network.state_dict()))

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take back what `state_dict` gave; the names shared with others are filled in."""
        own = self._network.state_dict()
        missing = sorted({name for name, _ in once(own)} - set(state_dict))
        unknown = sorted(set(state_dict) - set(own))
        if missing or unknown:
            raise RuntimeError(f"state of another network: missing {missing[:3]}, unknown {unknown[:3]}")
        with torch.no_grad():
            for name, tensor in state_dict.items():
                if own[name].shape != tensor.shape:
                    raise RuntimeError(f"'{name}' has shape {list(tensor.shape)}, not {list(own[name].shape)}")
                own[name].copy_(tensor)


def once(state: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and tensors of a state of dynamic-network-architectures, without the aliases."""
    return ((name, tensor) for name, tensor in state.items() if not any(alias in name for alias in _ALIASES))


def _initialise(module: nn.Module) -> None:
    """nnU-Net's: He's normal weights for slope 0.01, biases 0."""
    if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
        nn.init.kaiming_normal_(module.weight, a=1e-2)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
