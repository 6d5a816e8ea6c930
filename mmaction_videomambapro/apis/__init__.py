"""Entry points for the tools and for users' code."""
