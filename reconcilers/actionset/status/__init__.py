"""The status of an ActionSet, as Kanister has it: pure functions on the document."""
