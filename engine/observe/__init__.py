"""What an operator sees: log lines, latencies, status. Called from everywhere, imports nobody above messages."""
