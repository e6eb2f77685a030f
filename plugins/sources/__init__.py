"""Sources: how outside shapes become events."""
