"""The field reference: made from the CRD, and from the tables of what becomes of each field."""
