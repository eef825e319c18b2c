"""Is int8 really faster than float32 on this CPU, by how much, at what cost, and how sure are we."""

__version__ = "0.1.0"
