"""Functions: user code and built-in steps between contract and filter."""
