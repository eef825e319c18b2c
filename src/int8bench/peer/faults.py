"""How a fault of somebody else's code is told in one line. Pure."""


def first_line(error: BaseException) -> str:
    """The kind of an error and the first line that it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
