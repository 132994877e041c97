"""The runtime: informers, work queues and workers for reconcilers of any custom resource.

It knows Kubernetes and nothing of Kopia. Semantics are those of client-go and controller-runtime;
each module names the file it follows.
"""

__version__ = "0.1.0"
