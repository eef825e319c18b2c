"""What is wrong or worth knowing of a run, with advice. In: cells and samples; out: findings. Pure.

outcomes.py       all of them, in order; what failed, what was left out, what accuracy it costs
execution.py      what really ran: int8 in name only, float left in it, threads that do not rest
chance.py         top-1 and answers that prove nothing
boards.py         which microcontrollers a model fits on
causes.py         one cause of many failures, said once
contradictions.py rules that figures of the same run contradict, dropped; int8 engines held against each other
"""
