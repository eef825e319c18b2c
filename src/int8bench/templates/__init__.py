"""Files that `int8bench init` writes into somebody else's repository."""
