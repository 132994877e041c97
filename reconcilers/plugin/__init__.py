"""The plugin of kubectl: what people ask of repository servers and do with them, on one screen."""
