"""What the project is about: one package for each reconciler, and the command that runs them."""
