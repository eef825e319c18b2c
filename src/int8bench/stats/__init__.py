"""Inference on measurements. Pure numbers: no clock, no files, no torch."""
