"""Values that are written as one word on the command line."""


def split(text: str | None) -> list[str] | None:
    """The parts of `a,b,c`; None if nothing was given."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]
