"""Metrics by the challenges' rules, efficiency, and reports."""
