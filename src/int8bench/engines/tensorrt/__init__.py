"""TensorRT on NVIDIA GPUs; never run by us, for want of one. In: a model, pictures; out: a predictor and what ran."""
