"""The ground: language, plan, tasks, store and command line.

Rooms, from the top down; each may import what stands below it:
``cli`` > ``plan`` > ``registry`` > ``config`` > ``store``, ``runtime``, ``observe``, ``client`` > ``plugin`` > ``lang``
> ``wire``, ``messages`` > ``errors``, ``units``. Actors and plugins stand on the engine and never meet; ``__main__``
alone sees all.
"""

__version__ = "0.1.0"
"""The distribution's version, as in pyproject.toml; destinations say it in ``User-Agent``."""
