"""The runtime: informers, work queues and workers for reconcilers of any custom resource.

It knows Kubernetes and nothing of Kopia. Its semantics are those of client-go and
controller-runtime. Each module names the file that it follows.
"""

__version__ = "0.1.0"
