"""The functions of ActionSets: a module each, and a line in `catalogue`."""
