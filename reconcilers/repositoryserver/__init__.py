"""The RepositoryServer reconciler: one Kopia repository server for each custom resource.

A reconcile reads top to bottom in `reconciler`: gather what is there, decide with the pure modules
(`secrets`, `certificates`, `repository_config`, `children`, `users`, `status`), act, and write the
status once.
"""
