"""Every constant of inference, once: what is declared, what is called the same, and how little is too little. Pure."""

CONFIDENCE = 0.95  # of an interval that is shown
POWER = 0.95  # with which the smallest visible effect would have been called
ERROR_RATE = 0.001  # of one verdict; that of the grid or suite is bounded beside it, see `ratio.comparison_error`
FAMILY_ERROR_RATE = 0.05  # of a single wrong verdict in the whole grid or suite
HISTORY_ERROR_RATE = 0.01  # of one false change or more in all series of a history together
MARGIN = 0.01  # a difference of up to 1 % either way is "same"

ROUNDS_OF_A_FORK = 2  # that count: a median of one round is that round's luck
LAUNCHES_FOR_A_SPREAD = 2
LAUNCHES_FOR_A_VERDICT = 3  # with two, one degree of freedom: the quantile at 0.001 is 637 standard errors
LAUNCHES_OF_A_PLAN = 4  # the t quantile at 3 degrees of freedom is the last that is of use
LAUNCHES_FOR_A_FAILURE = 7  # 7 of 7 against 0 of 7: 1 in 3,432 by chance, the first below one in a thousand
RUNS_OF_A_PREDICTION = 4  # with three, Student's quantile at an error of 0.001 is 31.6 standard errors
