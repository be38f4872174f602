"""The networks of the papers, built by name from plain data."""

from __future__ import annotations

from typing import Any

__all__ = ["build_network"]


def build_network(name: str, *, in_channels: int, out_channels: int, **kwargs: Any) -> Any:
    """`factory.build_network`, imported (with torch) on the first call."""
    from LiverMRISegLib.networks.factory import build_network as build

    return build(name, in_channels=in_channels, out_channels=out_channels, **kwargs)
