"""The error of one comparison, so that the error of the whole grid is bounded. Pure."""


def comparison_error(comparisons: int, *, each: float, family: float) -> float:
    """The smaller of the declared error of one comparison and its share of the grid's (Bonferroni; Dunn 1961).

    With this error a comparison, one wrong verdict or more in the whole grid has at most probability `family`,
    whatever the dependence between the comparisons.

    Raises:
        ValueError: no comparison.
    """
    if comparisons < 1:
        raise ValueError(f"comparison_error: {comparisons} comparisons, expected one or more")
    return min(each, family / comparisons)
