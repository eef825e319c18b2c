"""What CI is told: a policy, the duet, the stored run and the bounds, and one verdict.

In: `[tool.int8bench.gate]` and a base. Out: findings and an exit code. Imported by the doors alone.
"""
