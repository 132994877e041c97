"""Leader election on a Lease, and the fence that it opens and closes."""
