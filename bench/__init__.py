"""The benchmark: what trio_runner costs, measured against the bare operations it cannot do without."""
