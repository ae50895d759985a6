"""What a machine or a cluster promises, checked where runs will be: file system, processes, devices, network."""
