"""From a config to a registered artefact: final trainings and models found elsewhere."""
