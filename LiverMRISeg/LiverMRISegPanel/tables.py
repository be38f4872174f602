"""The shape of the panel's tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def fit_columns(table: Any, columns: Iterable[int], widest: int) -> None:
    """Make columns as wide as their texts, but no wider than `widest` pixels, and rows no higher than a line."""
    for column in columns:
        table.resizeColumnToContents(column)
        if table.columnWidth(column) > widest:
            table.setColumnWidth(column, widest)
    table.resizeRowsToContents()
