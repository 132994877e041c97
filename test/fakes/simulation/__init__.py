"""A cluster in which nothing waits: time passes when a test says so, and chance has a seed.

`cluster.Cluster` puts it together: an API server, a kubelet, the controllers that come with
Kubernetes, a user, and the controller under test, which is the real one from its informers to its
reconciler.
"""
