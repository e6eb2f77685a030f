"""Who carries: each actor reads one inbox, asks the engine, and writes onward.

An actor knows its inbox and its outlet. It decides nothing: the decision is a pure call into the engine.
"""
