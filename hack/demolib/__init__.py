"""What `hack/demo` does.

Runs on the Python standard library alone, and asks the cluster by kubectl, as its reader would.
"""
