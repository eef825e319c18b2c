"""Git revisions, the packages that a repository holds, and what asv's configuration says of both.

In: a folder and the name of a revision. Out: commits, packages, folders. Imported by duets, the gate and tracking.
"""
