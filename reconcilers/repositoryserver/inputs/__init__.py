"""What a server is started with: the user's Secrets, and a certificate of the controller's own."""
