"""Acting under guard: playbooks say what may be done, the guard whether now, the runner does it, durably and once."""
