"""The interpreter of pickles, on valid, hostile and damaged ones."""

import contextlib
import pickle
import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdarknet.checkpoints import CheckpointError, limits
from cspdarknet.checkpoints.readers.unpickle import Name, Unused, unpickle

pytestmark = pytest.mark.one_backend

NUMBERS = st.integers(-(1 << 250), 1 << 250) | st.floats(allow_nan=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(-(1 << 50), 1 << 50), inner)
    ),
)


def call(function, arguments):
    return {} if function.name == "OrderedDict" else Unused()


def load(data):
    return unpickle(data, call, lambda identity: ("loaded", identity))


@settings(max_examples=40)
@given(PLAIN, st.integers(2, 5))
def test_plain_values_are_those_of_pickle(value, protocol):
    assert load(pickle.dumps(value, protocol)) == value


def test_repeated_and_cyclic_values():
    shared = ["a"]
    result = load(pickle.dumps([shared, shared], 2))
    assert result[0] is result[1]
    cycle = []
    cycle.append(cycle)
    result = load(pickle.dumps(cycle, 4))
    assert result[0] is result


def test_sets_are_lists_and_state_is_left_out():
    assert load(pickle.dumps({1}, 4)) == [1]
    assert load(pickle.dumps(frozenset([1]), 4)) == [1]
    assert load(b"\x80\x02ccollections\nOrderedDict\n)R}b.") == {}


def test_functions_are_only_named():
    names = []
    data = pickle.dumps(struct.Struct, 4)[:-1] + b")R."
    unpickle(data, lambda name, arguments: names.append((name, arguments)), None)
    assert names == [(Name("_struct", "Struct"), ())]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80\x02(i__main__\nx\n.", "has the instruction b'i'"),  # INST
        (b"\x80\x02}}b\x82\x01.", "instruction"),  # EXT1
        (b"\x80\x02cos\nsystem\n)\x81.", "object of Name.*system"),  # NEWOBJ
        (b"\x80\x02}))s.", "keys must be text or small integers. Received: tuple"),
        (b"\x80\x02}G" + bytes(8) + b"Ns.", "keys must be text or small integers. Received: 0.0"),
        (b"\x80\x02}" + pickle.dumps(1 << 61)[2:-1] + b"Ns.", "keys must be text"),
        (b"\x80\x02\x8b\x40\x42\x0f\x00" + bytes(1_000_000) + b".", "integer of 1000000 bytes"),
        (b"\x80\x02\x8a\xff" + bytes(255) + b".", "integer of 255 bytes"),
    ],
)
def test_instructions_and_values_that_state_dicts_do_not_have(data, message):
    with pytest.raises(CheckpointError, match=message):
        load(data)


def test_nested_tuples_as_a_key():
    """Their hash would take 2 ** 1000 steps."""
    doubled = b"\x80\x02}" + b")" + b"q\x00h\x00\x86" * 1000 + b"Ns."
    with pytest.raises(CheckpointError, match="keys must be text"):
        load(doubled)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # an index of the memo: Python reserves 16 GB for it
        b"\x80\x04\x8d" + b"\xff" * 8 + b".",  # a text of 2 ** 64 bytes
        b"\x80\x04\x95" + b"\xff" * 8 + b".",  # a frame
        b"\x80\x02X\xff\xff\xff\xff.",
        b"\x80\x02(((((.",
        b"\x80\x02\x86.",
        b"\x80\x02NNs.",
        b"\x80\x02h\x05.",
        b"\x80\x02" + b"](" * 50_000 + b".",
        b"\x80\x01N.",
        b"",
    ],
)
def test_claims_take_no_memory(data):
    tracemalloc.start()
    with contextlib.suppress(Exception):
        load(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_many_instructions(monkeypatch):
    monkeypatch.setattr(limits, "MAX_PICKLE_STEPS", 10)
    with pytest.raises(CheckpointError, match="too many instructions"):
        load(b"\x80\x02" + b"N0" * 10 + b"N.")
