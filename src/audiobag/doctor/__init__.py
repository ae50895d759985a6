"""Checks of a machine or a cluster before runs rely on it: file system, processes, devices, network."""
