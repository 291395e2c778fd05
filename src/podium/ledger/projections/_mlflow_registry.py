"""MLflow's model registry: slots as registered models, candidates as versions, one alias each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from podium.ledger.projections._mlflow_candidates import is_state_tag
from podium.ledger.projections._mlflow_client import (
    NO_ENDPOINT,
    Experiment,
    MlflowFailedError,
    MlflowRefusedError,
    MlflowStoppedError,
    NoRegistryError,
    ignored,
    paged,
)

ALIAS = "champion"
# Place of the artefacts of a logged model, with its id.
_LOGGED = re.compile(r"/models/(m-[^/]+)/artifacts/?$")


@dataclass(frozen=True)
class Version:
    """A version of a registered model that shows a candidate.

    Parameters
    ----------
    number : str
        MLflow's number; the slot's is the tag ``podium.version``.
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
        Experiment in the registry's store.
    project_id, project : str
        Id and name of the project.
    """

    def __init__(self, experiment: Experiment, project_id: str, project: str) -> None:
        self.experiment, self.project_id, self.project = experiment, project_id, project
        # Names and slots of the models that are this project's.
        self._mine: set[tuple[str, str]] = set()
        # Message once a server has reported that it has no registry.
        self._none = ""

    @contextmanager
    def _errors_classified(self) -> Iterator[None]:
        """Classify errors; a missing registry raises NoRegistryError."""
        if self._none:
            raise NoRegistryError(self._none)
        try:
            with self.experiment.errors_classified():
                yield
        except (MlflowStoppedError, MlflowFailedError) as error:
            if getattr(error.__cause__, "error_code", "") not in NO_ENDPOINT:
                raise
            self._none = (
                f"{self.experiment.target.shown} has no model registry; runs and their tags are "
                "sent; once there is a registry, podium sync sends versions and aliases"
            )
            raise NoRegistryError(self._none) from error

    def versions(self, name: str) -> dict[str, Version]:
        """Newest version of each candidate in a registered model; empty if there is no model."""
        newest: dict[str, Version] = {}
        with self._errors_classified():
            search = partial(self.experiment.client.search_model_versions, f"name='{name}'")
            for one in map(_version, paged(search)):
                other = newest.get(one.candidate_id)
                # Versions registered by others name no candidate or no run.
                is_own = bool(one.candidate_id and one.run_id)
                if is_own and (other is None or int(other.number) < int(one.number)):
                    newest[one.candidate_id] = one
        return newest

    def make(self, name: str, slot: str) -> None:
        """Make a slot's registered model if it is missing.

        Raises
        ------
        MlflowRefusedError
            The model belongs to another project or slot.
        """
        if (name, slot) in self._mine:
            return
        tags = {
            "podium.slot": slot,
            "podium.project": self.project,
            "podium.project_id": self.project_id,
        }
        client = self.experiment.client
        with self._errors_classified():
            with ignored("RESOURCE_ALREADY_EXISTS"):
                client.create_registered_model(
                    name, tags=tags, description=f"Candidates of slot {slot} of {self.project}."
                )
            model_tags = client.get_registered_model(name).tags
        if model_tags.get("podium.project_id") != self.project_id:
            other = model_tags.get("podium.project")
            raise MlflowRefusedError(
                f"the registered model {name} belongs to "
                f"{'another project, ' + other if other else 'no project of podium'}; two projects "
                "with one name would serve each other's models: rename the slot, or set another "
                "store (mlflow.tracking_uri) or another name (mlflow.registered_model)"
            )
        if model_tags.get("podium.slot") != slot:
            raise MlflowRefusedError(
                f"the registered model {name} belongs to the slot {model_tags.get('podium.slot')}; "
                "set another name (mlflow.registered_model)"
            )
        self._mine.add((name, slot))

    def create(self, name: str, run_id: str, source: str, tags: Mapping[str, str]) -> Version:
        """Register the model in ``source`` as a version.

        Parameters
        ----------
        source : str
            Artefacts of a logged model; or a folder among those of the run.
        """
        client, model_id = self.experiment.client, _LOGGED.search(source)
        with self._errors_classified():
            if model_id is None:
                source = f"{client.get_run(run_id).info.artifact_uri}/{source}"
            # With its tags at once, so that it can be found after a kill.
            made = client.create_model_version(
                name,
                source,
                run_id,
                tags=dict(tags),
                await_creation_for=0,
                model_id=model_id[1] if model_id else None,
            )
        return _version(made)

    def remove(self, name: str, version: Version) -> None:
        """Remove an outdated version."""
        with self._errors_classified():
            self.experiment.client.delete_model_version(name, version.number)

    def tag(self, name: str, version: Version, tags: Mapping[str, str]) -> None:
        """Set the tags of a version, and remove other tags of a candidate's state."""
        client = self.experiment.client
        with self._errors_classified():
            for key, value in tags.items():
                if version.tags.get(key) != value:
                    client.set_model_version_tag(name, version.number, key, value)
            for key in stray(version.tags, tags):
                client.delete_model_version_tag(name, version.number, key)

    def alias(self, name: str) -> str | None:
        """Number of the version with the alias champion, or None."""
        with self._errors_classified(), ignored("RESOURCE_DOES_NOT_EXIST"):
            aliases = self.experiment.client.get_registered_model(name).aliases
            return None if ALIAS not in aliases else str(aliases[ALIAS])
        return None

    def point(self, name: str, number: str | None) -> None:
        """Set the alias to a version, or remove it."""
        current = self.alias(name)
        client = self.experiment.client
        with self._errors_classified():
            if number is None and current is not None:
                client.delete_registered_model_alias(name, ALIAS)
            elif number is not None and current != number:
                client.set_registered_model_alias(name, ALIAS, number)


def stray(remote: Mapping[str, str], tags: Mapping[str, str]) -> list[str]:
    """Tags in MLflow that depend on a candidate's state and are not among ``tags``."""
    return [key for key in remote if is_state_tag(key) and key not in tags]


def _version(row: Any) -> Version:
    return Version(
        number=str(row.version),
        candidate_id=row.tags.get("podium.candidate_id", ""),
        run_id=row.run_id or "",
        tags=dict(row.tags),
    )
