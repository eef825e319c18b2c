"""What runs in a side's own interpreter: it opens that side's benchmarks (suites/) and answers in turn.

Loaded there under the name ``_int8bench_agent``, from this tool's folder, so that ``int8bench`` itself can be the
measured package and come from the side's revision. It therefore imports the standard library alone, its own modules
relatively, and what a suite needs (asv_runner, pytest) from the side's environment when that suite is opened.
"""
