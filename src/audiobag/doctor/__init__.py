"""Checks of a machine or a cluster on which runs will be: file system, processes, devices, network."""
