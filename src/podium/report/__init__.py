"""Tables, charts and pages as strings; nothing here reads or writes anything."""
