"""What one client session and each of its server sessions hold; pure."""
