"""PyTorch itself: float32, and int8 by torch.ao. In: a model and pictures; out: predictors and what ran."""
