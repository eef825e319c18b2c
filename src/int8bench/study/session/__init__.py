"""The measuring loop: conversions, probes, checks, races, each in a launch. In: a plan; out: a ledger of samples."""
