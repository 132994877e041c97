"""What the API server has, kept locally: reflectors, stores, informers, own writes."""
