"""The machinery under the actors, on trio: it knows tasks, time and sockets, and no events."""
