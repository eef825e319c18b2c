"""What reads ONNX files: ONNX Runtime and OpenVINO. In: a model and pictures; out: predictors and what ran."""
