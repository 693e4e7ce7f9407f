"""The embedded broker against the contract, a real broker process for each test."""

from pathlib import Path

import pytest

from seaway.layers.local.place import find_place
from seaway.testing.layer_contract import LayerContract, Process, started
from tests.layers.local.support import local_layer


class TestLocalLayer(LayerContract):
    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.place = find_place("contract", tmp_path)

    async def make_layers(self, count: int) -> list[Process]:
        return [await started(local_layer(self.place)) for _ in range(count)]
