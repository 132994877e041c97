"""A client of a Kopia server: backs up, restores, verifies and deletes by Kopia's own program.

`session` has `KopiaClient`, `model` what goes in and comes out of it, `errors` what can go wrong.
"""
