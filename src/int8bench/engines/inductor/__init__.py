"""Inductor: a compiled library, one a batch size. In: a model and pictures; out: a predictor and what ran."""
