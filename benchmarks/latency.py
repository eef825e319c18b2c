"""Plain times of one batch, for those who want them; machines drift, so the paired figures in `speedup` are judged."""

from ._front import BATCHES, CONTENDERS, THREADS, facade, shown
from ._subject import DATA, INPUT_SHAPE, MODEL


class Forward:
    """One warm forward of one batch."""

    param_names = ("contender", "batch", "threads")
    params = (CONTENDERS, BATCHES, THREADS)
    version = "1"
    warmup_time = 0.2
    timeout = 120.0

    def setup(self, contender: str, batch: int, threads: int) -> None:
        """The forward, built once a process and warmed: asv sets up again before each sample."""
        if threads > facade("usable_threads")():
            raise NotImplementedError(f"{threads} threads are more than this machine has")
        self.call = facade("forward")(
            contender, batch=batch, threads=threads, model=MODEL, input_shape=INPUT_SHAPE, data=DATA
        )

    @shown("latency of one batch", "seconds")
    def time_forward(self, _contender: str, _batch: int, _threads: int) -> None:
        """One call."""
        self.call()
