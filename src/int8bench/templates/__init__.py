"""Files that are written elsewhere: by `int8bench init` into a repository, and dashboard.js into asv's site."""
