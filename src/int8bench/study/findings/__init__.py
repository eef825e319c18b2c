"""What is wrong or worth knowing of a run, with advice. In: cells and samples; out: findings. Pure."""
