"""Destinations: settings, event types, and how a batch becomes a request. No I/O for those that speak HTTP."""
