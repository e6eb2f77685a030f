"""The store: what survives a crash. `base` has the roles; each implementation passes one suite."""
