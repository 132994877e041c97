"""The reconciler of ActionSets: runs the actions of Blueprints, and goes on after a restart."""
