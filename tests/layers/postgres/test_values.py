"""Values to PostgreSQL and back, through a real server."""

import uuid
from typing import Any

import psycopg
import pytest

from seaway.layers.postgres import values
from seaway.layers.postgres.values import Type, parameter
from tests.servers.postgres import PostgresServer

RANDOM = uuid.UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
CASES: list[tuple[Type, Any, Any]] = [
    (Type.TEXT, "ü€ \n", "ü€ \n"),
    (Type.BYTES, b"\0\xff", b"\0\xff"),
    (Type.BIG, -(2**62), -(2**62)),
    (Type.INT, 7, 7),
    (Type.DOUBLE, 0.1, 0.1),
    (Type.DOUBLE, float("inf"), float("inf")),
    (Type.BOOL, True, True),
    (Type.UUID, RANDOM.bytes, RANDOM),
    (Type.TEXT, None, None),
    (Type.TEXTS, [], []),
    (Type.TEXTS, ["a", "", 'ü,{}"'], ["a", "", 'ü,{}"']),
    (Type.TEXTS, None, None),
    (Type.BYTES_LIST, [b"", b"\0\xff"], [b"", b"\0\xff"]),
    (Type.INTS, [1, -1], [1, -1]),
    (Type.BIGS, [2**62, -1], [2**62, -1]),
    (Type.DOUBLES, [0.1, None], [0.1, None]),
    (Type.BOOLS, [True, False], [True, False]),
    (Type.UUIDS, [RANDOM.bytes], [RANDOM]),
]


@pytest.mark.parametrize(("kind", "value", "expected"), CASES, ids=lambda case: str(case)[:20])
def test_a_value_arrives(postgres: PostgresServer, kind: Type, value: Any, expected: Any) -> None:
    with psycopg.connect(postgres.url()) as connection:
        result = connection.pgconn.exec_params(
            b"SELECT $1", [parameter(kind, value)], [kind], [int(kind.binary)]
        )
        element, _ = values._ELEMENTS.get(kind, (kind, None))
        name = connection.adapters.types[element].name
        field = result.get_value(0, 0)
        text = None if field is None else field.decode()
        suffix = "[]" if kind in values._ELEMENTS else ""
        cast = f"SELECT %s::text::{name}{suffix}"
        [arrived] = connection.execute(cast.encode(), [text]).fetchone() or [None]
    assert arrived == expected


def test_results_are_read(postgres: PostgresServer) -> None:
    with psycopg.connect(postgres.url()) as connection:
        result = connection.pgconn.exec_params(
            b"SELECT -5::bigint, 5::integer, 'x'::text, 0.5::float8, true, NULL",
            [],
            result_format=1,
        )
        fields = [result.get_value(0, column) for column in range(6)]
    big, small, text, double, truth, null = fields
    assert (values.number(big), values.number(small), values.number(null)) == (-5, 5, 0)
    assert (values.text(text), values.text(null)) == ("x", "")
    assert (values.double(double), values.double(null)) == (0.5, None)
    assert (values.truth(truth), values.truth(null)) == (True, False)
