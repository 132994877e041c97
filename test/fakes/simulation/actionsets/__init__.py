"""The surroundings of the engine of ActionSets in a simulation: nodes, logs, and who writes."""
