"""What the reconciler of ActionSets does, one job a module. None of it waits."""
