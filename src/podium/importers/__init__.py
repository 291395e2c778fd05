"""Importers: files of other tools and older systems as records; never a pickle unasked."""
