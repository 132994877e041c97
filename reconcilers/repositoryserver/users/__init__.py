"""The users of a server: which may connect, and how its pods get to know them."""
