"""The eleven data functions, one module each; `catalogue` has all of them."""
