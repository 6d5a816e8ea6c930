"""A page in the browser that says what happens in videos; see ``tools/page.py``."""
