"""The command `hack/soak`: faults at random, under clients that back up and restore."""
