"""Measurement: processes, clocks, races. Knows nothing about quantization or torch.

In: contenders as callables, in processes of their own. Out: samples. agent/ runs in a measured side's interpreter.
"""
