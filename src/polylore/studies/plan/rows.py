"""Rows of table PLAN_TOTALS."""

from typing import Any

Row = dict[str, Any]


def row(topic: str, name: str, value: float | None, unit: str, remark: str = "") -> Row:
    """One row of table PLAN_TOTALS."""
    number = None if value is None else float(value)
    return {"topic": topic, "name": name, "value": number, "unit": unit, "remark": remark}
