"""Implements hack/stores: real servers of object stores on this machine, beside a local cluster.

Runs on Python's standard library alone, before anything is installed.
"""
