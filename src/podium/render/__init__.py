"""Tables, charts and pages as strings; nothing is read but the style sheet, nothing written."""
