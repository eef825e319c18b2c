"""Whether the backend fits the processor, as numbers that move: how many findings each engine has here."""

from ._front import Tracked, _Tracked, shown


class Findings(_Tracked):
    """Findings of `int8bench doctor --engine`; qnnpack on x86 is an error, so its count there is 1 or more."""

    param_names = ("engine", "severity")
    params = (("fbgemm", "x86", "onednn", "qnnpack"), ("error", "warning", "note"))
    version = "1"

    @shown("findings about an engine on this processor", "findings")
    def track_count(self, tracked: Tracked, engine: str, severity: str) -> float:
        """How many."""
        return self.number(tracked, "health.Findings.track_count", engine, severity)
