"""Renders tables, charts and pages as strings; reads only the style sheet and writes nothing."""
