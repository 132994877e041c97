"""Whether the CRD that the cluster serves has all fields that this version knows."""
