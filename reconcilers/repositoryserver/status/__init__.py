"""What is told of a server: conditions, events, metrics, and who else serves its repository."""
