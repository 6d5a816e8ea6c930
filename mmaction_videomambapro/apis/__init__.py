"""What tools and people call."""
