"""The shape of the panel's tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import qt


def show_only(table: Any) -> None:
    """The rows have no numbers and cannot be edited; each stays one line high, however long its texts are."""
    table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
    table.verticalHeader().setVisible(False)
    table.setWordWrap(False)


def fit_columns(table: Any, columns: Iterable[int], widest: int) -> None:
    """Make columns as wide as their texts, but no wider than `widest` pixels, and rows no higher than a line."""
    for column in columns:
        table.resizeColumnToContents(column)
        if table.columnWidth(column) > widest:
            table.setColumnWidth(column, widest)
    table.resizeRowsToContents()
