"""Pure optimization: the solver contract, the registry and the solvers themselves."""
