"""Families of models; torch and its friends live in this folder and in ``losses``."""
