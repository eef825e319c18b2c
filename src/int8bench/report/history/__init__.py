"""The history of commits: on the terminal, as a page, as plots. In: a history; out: text or HTML. Never measures."""
