"""The embedded broker against the contract, a real broker process for each test."""

from pathlib import Path

import pytest

from seaway.layers.local.client import LocalLayer
from seaway.layers.local.place import find_place
from seaway.testing.layer_contract import LayerContract, Process, started


class TestLocalLayer(LayerContract):
    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.place = find_place("contract", tmp_path)

    async def make_layers(self, count: int) -> list[Process]:
        # The broker quits a tenth of a second after the test.
        return [await started(LocalLayer(self.place, linger=0.1)) for _ in range(count)]
