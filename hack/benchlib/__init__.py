"""What `hack/bench` does.

Runs on the Python standard library alone, as `hack/demo`, from which it takes the way to a cluster.
"""
