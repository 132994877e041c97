"""What `hack/test` runs.

Runs on the Python standard library alone: it makes the environment that has the libraries.
"""
