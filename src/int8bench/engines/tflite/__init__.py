"""What reads TFLite files: LiteRT and TFLite Micro. In: a model and pictures; out: predictors and what ran."""
