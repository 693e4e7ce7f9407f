"""Shows the values in failures of the public contract suite."""

import pytest

pytest.register_assert_rewrite("seaway.testing")
