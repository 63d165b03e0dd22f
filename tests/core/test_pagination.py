"""Cursors of lists: what was made is read back, anything else is refused."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimized_tsp.core.errors import InvalidInput
from optimized_tsp.core.ids import new_id
from optimized_tsp.core.pagination import decode_cursor, encode_cursor


@given(st.uuids())
def test_a_cursor_gives_back_its_id(last_id: UUID) -> None:
    assert decode_cursor(encode_cursor(last_id)) == last_id


@given(st.text(max_size=40).filter(lambda text: len(text) != 22))
def test_anything_of_another_length_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_cursor(text)
    assert caught.value.problems[0].pointer == "/cursor"


def test_ids_are_ordered_by_time() -> None:
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(ids)
    assert all(made.version == 7 for made in ids)


def test_a_cursor_with_other_padding_bits_is_refused() -> None:
    cursor = encode_cursor(UUID(int=0))
    with pytest.raises(InvalidInput):
        decode_cursor(cursor[:-1] + "B")
