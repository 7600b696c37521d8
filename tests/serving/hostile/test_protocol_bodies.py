from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.serving.hostile.wire import JSON, GoodClient, ask

MILLION = 1_000_000


def tensor(data: bytes, shape: str, datatype: str = "FP32") -> bytes:
    """A question of the Open Inference Protocol."""
    about = f'"name": "features", "datatype": "{datatype}", "shape": {shape}'
    return f'{{"inputs": [{{{about}, "data": '.encode() + data + b"}]}"


def numbers(count: int) -> bytes:
    return b"[" + b"1," * (count - 1) + b"1]"


BAD_TENSORS: dict[str, Callable[[], bytes]] = {
    "a text for a number": lambda: tensor(b'["1", 2]', "[1, 2]"),
    "not a number": lambda: tensor(b"[NaN, 2]", "[1, 2]"),
    "infinite": lambda: tensor(b"[1e999, 2]", "[1, 2]"),
    "of another type": lambda: tensor(b"[1, 2]", "[1, 2]", "FP64"),
    "of no type": lambda: tensor(b"[1, 2]", "[1, 2]", "NONE"),
    "of another shape": lambda: tensor(b"[1, 2, 3]", "[1, 3]"),
    "of more dimensions": lambda: tensor(b"[1, 2]", "[1, 2, 1]"),
    "of no rows": lambda: tensor(b"[]", "[0, 2]"),
    "of fewer than no rows": lambda: tensor(b"[1, 2]", "[-1, 2]"),
    "of a huge shape": lambda: tensor(b"[1, 2]", f"[{2**31 - 1}, 2]"),
    "of too few elements": lambda: tensor(b"[1]", "[1, 2]"),
    "nested otherwise": lambda: tensor(b"[[1], [2]]", "[1, 2]"),
    "nested deeply": lambda: tensor(b"[" * 100_000, "[1, 2]"),
    "of millions of elements": lambda: tensor(numbers(7 * MILLION), f"[{7 * MILLION // 2}, 2]"),
    "of millions of texts": lambda: tensor(
        b"[" + b'"",' * 4 * MILLION + b'""]', f"[{2 * MILLION}, 2]"
    ),
    "of a million dimensions": lambda: tensor(b"[1]", "[" + "1," * MILLION + "1]"),
    "millions of numbers for tensors": lambda: b'{"inputs": ' + numbers(7 * MILLION) + b"}",
    "millions of outputs": lambda: b'{"outputs": ' + numbers(7 * MILLION) + b', "inputs": []}',
}


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_a_tensor_that_means_harm_is_refused(url: str, name: str) -> None:
    body = BAD_TENSORS[name]()
    with GoodClient(url):
        answer = ask(url, body, path="/v2/models/price/infer")
    assert answer.status in (400, 413)
    assert set(answer.json) == {"error"}
    assert len(answer.body) < 500


HEAD = b"size,age of the house\n"
BAD_TABLES: dict[str, tuple[Callable[[], bytes], str]] = {
    "millions of numbers for rows": (
        lambda: (
            b'{"dataframe_split": {"columns": ["size"], "data": ' + numbers(7 * MILLION) + b"}}"
        ),
        JSON,
    ),
    "millions of numbers for columns": (
        lambda: b'{"dataframe_split": {"columns": ' + numbers(7 * MILLION) + b', "data": []}}',
        JSON,
    ),
    "millions of numbers for records": (
        lambda: b'{"dataframe_records": ' + numbers(7 * MILLION) + b"}",
        JSON,
    ),
    "millions of numbers for instances": (
        lambda: b'{"instances": ' + numbers(7 * MILLION) + b"}",
        JSON,
    ),
    "long columns": (
        lambda: b'{"inputs": {"size": %b, "age of the house": %b}}' % ((numbers(3 * MILLION),) * 2),
        JSON,
    ),
    "a row of millions of cells": (lambda: HEAD + b"," * 15 * MILLION, "text/csv"),
    "millions of rows": (lambda: HEAD + b"1,2\n" * 4 * MILLION, "text/csv"),
    "a million columns": (lambda: b",".join(b"%d" % n for n in range(MILLION)), "text/csv"),
    "one long cell": (lambda: HEAD + b'"' + b'""' * 7 * MILLION, "text/csv"),
    "empty lines": (lambda: b"\n" * 16 * MILLION, "text/csv"),
    "zero bytes": (lambda: bytes(16 * MILLION), "text/csv"),
    "not a number": (lambda: HEAD + b"nan,1\n", "text/csv"),
    "infinite": (lambda: HEAD + b"1e999,1\n", "text/csv"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_table_that_means_harm_is_refused(url: str, name: str) -> None:
    make, kind = BAD_TABLES[name]
    body = make()
    with GoodClient(url):
        answer = ask(url, body, kind, "/invocations")
    assert answer.status in (400, 413)
    assert answer.json["error_code"]
    assert len(answer.body) < 500
