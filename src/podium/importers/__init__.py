"""Importers of records from files of other tools; pickles only with permission."""
