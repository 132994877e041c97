"""Where a data function's pod runs and what it sees: the node, the claims, the user.

Pure functions from pods and claims, as they were seen, to a PodSpec.
"""
