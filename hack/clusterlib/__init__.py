"""A real single-node Kubernetes on this machine, from packages, and the images that run on it.

For `hack/cluster` and `hack/images`. Standard library only: this runs before any virtual
environment exists.
"""
