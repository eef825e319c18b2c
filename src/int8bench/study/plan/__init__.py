"""What is measured, and what fits into the stated time. In: a request; out: cells, launches, what is left out."""
