"""What is reported of a server: conditions, events, metrics, who else serves its repository."""
