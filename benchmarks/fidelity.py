"""How near int8's answers are to float32's."""

from ._front import ENGINE, Tracked, _Tracked, shown


class Fidelity(_Tracked):
    """Signal over quantization noise, and how often the top class is the same, on the validation pictures."""

    param_names = ("engine",)
    params = ((ENGINE,),)
    version = "1"

    @shown("SQNR of int8 against float32", "dB")
    def track_sqnr_db(self, tracked: Tracked, engine: str) -> float:
        """Decibels."""
        return self.number(tracked, "fidelity.Fidelity.track_sqnr_db", engine)

    @shown("share of pictures with the same top class", "agreement")
    def track_agreement(self, tracked: Tracked, engine: str) -> float:
        """A share of 1."""
        return self.number(tracked, "fidelity.Fidelity.track_agreement", engine)
