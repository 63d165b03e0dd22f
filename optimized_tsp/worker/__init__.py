"""Workers: take jobs, run their solvers in child processes, store what comes of it."""
