"""What is measured side by side; each file is run by a process of its own."""
