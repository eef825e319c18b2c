"""How many times as fast int8 is as the best float32: paired, over several launches; what regressions are judged by."""

from ._front import BATCHES, THREADS, Tracked, _Tracked, shown


class Speedup(_Tracked):
    """The paired speed-up, and its inverse, which rises when things get worse, as asv's detector expects."""

    param_names = ("batch", "threads")
    params = (BATCHES, THREADS)
    version = "1"

    @shown("speed-up of int8 over the best float32, paired", "x")
    def track_speedup(self, tracked: Tracked, batch: int, threads: int) -> float:
        """Best float32 time over int8 time."""
        return self.number(tracked, "speedup.Speedup.track_speedup", batch, threads)

    @shown("time of int8 over time of the best float32, paired", "of float32")
    def track_relative_time(self, tracked: Tracked, batch: int, threads: int) -> float:
        """Int8 time over best float32 time."""
        return self.number(tracked, "speedup.Speedup.track_relative_time", batch, threads)
