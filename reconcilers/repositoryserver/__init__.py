"""The RepositoryServer reconciler: one Kopia repository server for each custom resource.

A reconcile reads top to bottom in `reconciler`: gather what is there (`inputs`, `users`), decide
with the modules that do no I/O, act (`children`, `users`, `rollout`), and write the status once
(`status`).
"""
