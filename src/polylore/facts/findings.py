"""One row of the linter's table."""

from collections.abc import Sequence

Finding = dict[str, object]


def finding(
    rule: str,
    severity: str,
    lang: str | None,
    relation: str | None,
    count: int,
    examples: Sequence[str],
    message: str,
) -> Finding:
    """A row of the contract `tables.quality.LINT`."""
    return {
        "rule": rule,
        "severity": severity,
        "lang": lang,
        "relation": relation,
        "count": count,
        "examples": list(examples),
        "message": message,
    }
