"""A grid becomes a record: planned (plan/), measured (session/), figured out, ranked, and judged (findings/).

In: a request. Out: a record with samples, figures, ranking, findings. Imported by whatever compares or shows records.
"""
