"""Measurement: races contenders; knows nothing about quantization or torch."""
