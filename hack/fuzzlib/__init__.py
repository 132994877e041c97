"""Fuzzing: what reads the words of others gets words that nobody would write."""
