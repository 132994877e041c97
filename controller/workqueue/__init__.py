"""The queue between informers and workers."""
