"""The ground: language, plan, tasks, store and command line.

Rooms, from the top down; each may import what stands below it:
``cli`` > ``plan`` > ``registry`` > ``config`` > ``store``, ``runtime``, ``observe``, ``client`` > ``plugin`` > ``lang`` >
``wire``, ``messages`` > ``errors``. Actors and plugins stand on the engine and never meet; ``__main__`` alone sees all.
"""
