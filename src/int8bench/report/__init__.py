"""Turns a record into text or a page. Draws, never measures."""
