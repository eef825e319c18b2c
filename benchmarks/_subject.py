"""What this suite measures."""

MODEL = "simplecnn"
INPUT_SHAPE = None  # such as "3x32x32"; known models have their own
DATA = "digits"
ENGINE = "fbgemm"
