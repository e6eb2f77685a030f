"""What an event means: references, filters, templates, mappings, contracts, and what a failed try leads to.

Everything here is pure and compiled once, when the plan is made. Nothing in this room knows the time, chance, the
network or the disk: they come in as arguments. It may import `engine.errors` and `engine.messages`, and nothing else
of this package.
"""
