"""What is run: cells of a grid, a model, its weights, pictures, and how near answers are to its own.

In: a name or a `module:function`. Out: a model with pictures, and its fidelity. Imported by engines and above.
"""
