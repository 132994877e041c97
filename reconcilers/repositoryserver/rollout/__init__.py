"""From one pod to the next: which one clients reach, and what becomes of the others."""
