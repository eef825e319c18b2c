"""Engines: a float32 model and calibration data in, something that answers a batch out; one folder a runtime."""
