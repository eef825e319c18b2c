"""What a contender costs: sustained throughput, its first call, memory, and the size of its weights."""

from ._front import BATCHES, CONTENDERS, THREADS, Tracked, _Tracked, shown


class Throughput(_Tracked):
    """Pictures answered under sustained load by as many streams as the usable cores carry."""

    param_names = ("contender", "batch", "threads")
    params = (CONTENDERS, BATCHES, THREADS)
    version = "1"

    @shown("sustained throughput", "items/s")
    def track_items_per_second(self, tracked: Tracked, contender: str, batch: int, threads: int) -> float:
        """Items a second."""
        return self.number(tracked, "cost.Throughput.track_items_per_second", contender, batch, threads)


class ColdCall(_Tracked):
    """The first call of a fresh process: packing and first touches included."""

    param_names = ("contender", "batch", "threads")
    params = (CONTENDERS, BATCHES, THREADS)
    version = "1"

    @shown("first call of a fresh process", "seconds")
    def track_seconds(self, tracked: Tracked, contender: str, batch: int, threads: int) -> float:
        """Seconds."""
        return self.number(tracked, "cost.ColdCall.track_seconds", contender, batch, threads)


class PeakMemory(_Tracked):
    """Peak resident memory of the first calls, over a process that does nothing."""

    param_names = ("contender", "batch", "threads")
    params = (CONTENDERS, BATCHES, THREADS)
    version = "1"

    @shown("peak memory over a process that does nothing", "bytes")
    def track_bytes(self, tracked: Tracked, contender: str, batch: int, threads: int) -> float:
        """Bytes."""
        return self.number(tracked, "cost.PeakMemory.track_bytes", contender, batch, threads)


class Size(_Tracked):
    """Weights in memory and in a file."""

    param_names = ("contender",)
    params = (CONTENDERS,)
    version = "1"

    @shown("weights in memory", "bytes")
    def track_weight_bytes(self, tracked: Tracked, contender: str) -> float:
        """Bytes of weights, biases, scales and zero points."""
        return self.number(tracked, "cost.Size.track_weight_bytes", contender)

    @shown("weights in a file", "bytes")
    def track_serialized_bytes(self, tracked: Tracked, contender: str) -> float:
        """Bytes of the saved model."""
        return self.number(tracked, "cost.Size.track_serialized_bytes", contender)
