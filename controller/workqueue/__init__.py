"""The work queue between informers and workers."""
