"""The Helm chart: what of it comes from manifests/, and its README."""
