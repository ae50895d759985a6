"""The configuration: one root per command, one folder per component."""
