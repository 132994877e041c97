"""One replica works, the others stand by."""
