"""Fast operations on the CPU, each beside or against a plain reference in ordinary torch."""
