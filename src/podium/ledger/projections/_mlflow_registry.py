"""MLflow's registry: a registered model a slot, a version a candidate, an alias a champion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from podium.ledger.projections._mlflow_candidates import is_told
from podium.ledger.projections._mlflow_client import (
    Experiment,
    MlflowRefusedError,
    MlflowStoppedError,
    NoRegistryError,
    StumbledError,
    ignored,
    paged,
)

ALIAS = "champion"
# What a server answers that knows no such requests, or does not offer them.
_NO_REGISTRY = ("ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "NOT_IMPLEMENTED")


@dataclass(frozen=True)
class Version:
    """A version of a registered model that shows a candidate.

    Parameters
    ----------
    number : str
        MLflow's own; the slot's is the tag ``podium.version``.
    """

    number: str
    candidate_id: str
    run_id: str
    tags: Mapping[str, str]


class Registry:
    """The registered models of one project.

    Parameters
    ----------
    experiment : Experiment
        Whose store the registry is in.
    project_id, project : str
        Id and name of the project.
    """

    def __init__(self, experiment: Experiment, project_id: str, project: str) -> None:
        self.experiment, self.project_id, self.project = experiment, project_id, project
        self._mine: set[str] = set()
        # Why there is no registry, once a server has said so.
        self._none = ""

    @contextmanager
    def _judged(self) -> Iterator[None]:
        """Sort what goes wrong; that there is no registry at all is about every candidate."""
        if self._none:
            raise NoRegistryError(self._none)
        try:
            with self.experiment.judged():
                yield
        except (MlflowStoppedError, StumbledError) as error:
            if getattr(error.__cause__, "error_code", "") not in _NO_REGISTRY:
                raise
            self._none = (
                f"{self.experiment.target.shown} has no model registry; runs and their tags are "
                "sent all the same, versions and aliases once there is one: podium sync"
            )
            raise NoRegistryError(self._none) from error

    def versions(self, name: str) -> dict[str, Version]:
        """The newest version of each candidate in a registered model; empty where there is none."""
        found: dict[str, Version] = {}
        with self._judged():
            search = partial(self.experiment.client.search_model_versions, f"name='{name}'")
            for one in map(_version, paged(search)):
                other = found.get(one.candidate_id)
                # What somebody else registered there names no candidate, or no run.
                is_own = bool(one.candidate_id and one.run_id)
                if is_own and (other is None or int(other.number) < int(one.number)):
                    found[one.candidate_id] = one
        return found

    def make(self, name: str, slot: str) -> None:
        """Make a slot's registered model, unless it is there.

        Raises
        ------
        RefusedError
            It is somebody else's.
        """
        if name in self._mine:
            return
        tags = {
            "podium.slot": slot,
            "podium.project": self.project,
            "podium.project_id": self.project_id,
        }
        client = self.experiment.client
        with self._judged():
            with ignored("RESOURCE_ALREADY_EXISTS"):
                client.create_registered_model(
                    name, tags=tags, description=f"Candidates of slot {slot} of {self.project}."
                )
            there = client.get_registered_model(name).tags
        if there.get("podium.project_id") != self.project_id:
            other = there.get("podium.project")
            raise MlflowRefusedError(
                f"the registered model {name} belongs to "
                f"{'another project, ' + other if other else 'somebody else'}; two projects under "
                "one name would serve each other's models: give the slot another name, or name "
                "another store (mlflow.tracking_uri)"
            )
        self._mine.add(name)

    def create(
        self, name: str, run_id: str, candidate_id: str, tags: Mapping[str, str], files: Path
    ) -> Version:
        """Put a candidate's files into its run, and register its model's folder as a version.

        Parameters
        ----------
        files : Path
            What goes among the run's artefacts; the model is in ``models/<candidate>`` there.
        """
        client = self.experiment.client
        with self._judged():
            client.log_artifacts(run_id, str(files))
            place = client.get_run(run_id).info.artifact_uri
            # With its tags at once: after a kill it is found by them.
            made = client.create_model_version(
                name,
                f"{place}/models/{candidate_id}",
                run_id,
                tags=dict(tags),
                await_creation_for=0,
            )
        return _version(made)

    def remove(self, name: str, version: Version) -> None:
        """Remove a version that is none any more."""
        with self._judged():
            self.experiment.client.delete_model_version(name, version.number)

    def tag(self, name: str, version: Version, tags: Mapping[str, str]) -> None:
        """Give a version these tags; of those that a standing decides, no others."""
        client = self.experiment.client
        with self._judged():
            for key, value in tags.items():
                if version.tags.get(key) != value:
                    client.set_model_version_tag(name, version.number, key, value)
            for key in stray(version.tags, tags):
                client.delete_model_version_tag(name, version.number, key)

    def alias(self, name: str) -> str | None:
        """Number of the version that MLflow calls champion."""
        with self._judged(), ignored("RESOURCE_DOES_NOT_EXIST"):
            found = self.experiment.client.get_registered_model(name).aliases
            return None if ALIAS not in found else str(found[ALIAS])
        return None

    def point(self, name: str, number: str | None) -> None:
        """Let the alias name this version, or nothing."""
        there = self.alias(name)
        client = self.experiment.client
        with self._judged():
            if number is None and there is not None:
                client.delete_registered_model_alias(name, ALIAS)
            elif number is not None and there != number:
                client.set_registered_model_alias(name, ALIAS, number)


def stray(there: Mapping[str, str], tags: Mapping[str, str]) -> list[str]:
    """Tags in MLflow that a standing decides, and that this one does not have."""
    return [key for key in there if is_told(key) and key not in tags]


def _version(row: Any) -> Version:
    return Version(
        number=str(row.version),
        candidate_id=row.tags.get("podium.candidate_id", ""),
        run_id=row.run_id or "",
        tags=dict(row.tags),
    )
