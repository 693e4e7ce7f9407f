"""A clock for what lives by one."""


class Clock:
    """Seconds that go on when the test says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
