"""The built-in synthetic set, for demonstrations and tests without any data."""

from __future__ import annotations

from pydantic import Field

from rankdistill.config import DataConfig
from rankdistill.data.events import Events
from rankdistill.data.synthetic import generate


class Synthetic:
    """Draws an interaction log from a known Markov model."""

    class Config(DataConfig):
        """The keys of `[data]`."""

        kind: str = "synthetic"
        users: int = Field(500, ge=1, description="number of users")
        items: int = Field(400, ge=1, description="number of items")
        length: int = Field(30, ge=1, description="interactions of each user")
        seed: int = Field(0, ge=0, description="seed of the random generator")

    def __init__(self, config: Config) -> None:
        self.config = config

    def read(self) -> Events:
        """Draws the log.

        Raises:
            ConfigError: there are too few items for walks of that length.
        """
        config = self.config
        return generate(config.users, config.items, config.length, config.seed)
