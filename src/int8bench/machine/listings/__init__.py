"""What people paste of a CPU: /proc/cpuinfo, lscpu, sysctl. In: text; out: `Hardware`, and what is untold."""
