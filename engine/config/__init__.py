"""How a house is described: config.toml as Structs, read with all problems at once. Pure: no trio, no network."""
