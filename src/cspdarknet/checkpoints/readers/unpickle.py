"""Interpreter of the few pickle instructions that state dicts consist of.

It makes containers, text and numbers, and leaves calls to the function that it is given. Nothing
is imported or executed, and no instruction takes more memory than its own bytes and a small object:
Python's unpickler keeps a table as long as the largest index in the file, for example.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cspdarknet.checkpoints import limits
from cspdarknet.checkpoints.errors import CheckpointError, shortened

MAX_KEY = 1 << 60  # larger integers as keys can be chosen so that all hashes are equal
PROTOCOLS = range(2, 6)


@dataclass(frozen=True)
class Name:
    """Module and name of a function or class that a pickle refers to."""

    module: str
    name: str


# The options of a training script, which timm keeps beside the weights.
NAMESPACE = Name("argparse", "Namespace")


class Unused:
    """Placeholder of a value that is not needed, such as a trainer's best score."""


def unpickle(
    data: bytes, call: Callable[[Name, tuple[Any, ...]], Any], load: Callable[[Any], Any]
) -> Any:
    """Return the object that a pickle describes.

    Sets are returned as lists, and the attributes of an `OrderedDict` are left out.

    Args:
        data: the pickle, of protocol 2 to 5.
        call: returns the result of calling a function.
        load: returns the object with a persistent id.

    Raises:
        CheckpointError: if an instruction, a key or a number is one that state dicts do not have.
        Exception: of any class, if the pickle is damaged.
    """
    return _Interpreter(data, call, load).run()


class _Interpreter:
    """The stack machine of one pickle."""

    def __init__(
        self,
        data: bytes,
        call: Callable[[Name, tuple[Any, ...]], Any],
        load: Callable[[Any], Any],
    ) -> None:
        self._data, self._at = data, 0
        self._call, self._load = call, load
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []  # the stacks below each mark
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(limits.MAX_PICKLE_STEPS):
            code = self._data[self._at]
            self._at += 1
            if code == STOP:
                (result,) = self._stack
                return result
            step = STEPS.get(code)
            if step is None:
                raise CheckpointError(
                    f"its pickle has the instruction {bytes([code])!r}, which a plain checkpoint "
                    "does not need: refused."
                )
            step(self)
        raise CheckpointError("its pickle has too many instructions: refused.")

    # Reading.

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise ValueError("the pickle is cut off")
        data = self._data[self._at : end]
        self._at = end
        return data

    def _number(self, count: int) -> int:
        return int.from_bytes(self._take(count), "little")

    def _line(self) -> str:
        end = self._data.index(b"\n", self._at)
        text = self._data[self._at : end].decode()
        self._at = end + 1
        return text

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _push_text(self, size_bytes: int) -> None:
        # As PyTorch writes it, half of a surrogate pair may stand alone.
        self._push(self._take(self._number(size_bytes)).decode("utf-8", "surrogatepass"))

    def _push_bytes(self, size_bytes: int) -> None:
        self._push(self._take(self._number(size_bytes)))

    def _push_integer(self, size_bytes: int) -> None:
        size = self._number(size_bytes)
        if size > limits.MAX_INTEGER_BYTES:
            raise CheckpointError(f"its pickle holds an integer of {size} bytes: refused.")
        self._push(int.from_bytes(self._take(size), "little", signed=True))

    def _push_signed(self) -> None:
        self._push(int.from_bytes(self._take(4), "little", signed=True))

    def _push_float(self) -> None:
        self._push(struct.unpack(">d", self._take(8))[0])

    def _protocol(self) -> None:
        if (protocol := self._number(1)) not in PROTOCOLS:
            raise ValueError(f"its pickle has the protocol {protocol}")

    # Containers.

    def _mark(self) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def _pop_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._marked.pop()
        return items

    def _tuple(self, count: int) -> None:
        items = tuple(self._stack[-count:])
        if len(items) != count:
            raise ValueError("the stack is empty")
        self._stack[-count:] = [items]

    def _marked_tuple(self) -> None:
        items = tuple(self._pop_mark())
        self._push(items)

    def _marked_list(self) -> None:
        items = self._pop_mark()
        self._push(items)

    def _append(self) -> None:
        item = self._stack.pop()
        self._top(list).append(item)

    def _extend(self) -> None:
        items = self._pop_mark()
        self._top(list).extend(items)

    def _set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._update([key, value])

    def _set_items(self) -> None:
        self._update(self._pop_mark())

    def _update(self, items: list[Any]) -> None:
        target = self._top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_checked_key(key)] = value

    def _top(self, expected: type) -> Any:
        if type(self._stack[-1]) is not expected:
            raise ValueError(f"it has no {expected.__name__} where items are added")
        return self._stack[-1]

    # The memo, calls and state.

    def _put(self, size_bytes: int) -> None:
        self._memo[self._number(size_bytes)] = self._stack[-1]

    def _memoize(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, size_bytes: int) -> None:
        self._push(self._memo[self._number(size_bytes)])

    def _global(self) -> None:
        self._push(Name(self._line(), self._line()))

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not (isinstance(module, str) and isinstance(name, str)):
            raise ValueError("it names a function by something other than text")
        self._push(Name(module, name))

    def _reduce(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not (isinstance(function, Name) and isinstance(arguments, tuple)):
            raise ValueError("it calls something other than a function")
        self._push(self._call(function, arguments))

    def _new_object(self) -> None:
        _, class_name = self._stack.pop(), self._stack.pop()
        if class_name != NAMESPACE:
            raise CheckpointError(f"its pickle makes an object of {class_name}: refused.")
        self._push(Unused())

    def _persistent(self) -> None:
        self._push(self._load(self._stack.pop()))

    def _build(self) -> None:
        self._stack.pop()  # the state, such as the versions of modules in a state dict
        if not isinstance(self._stack[-1], (dict, Unused)):
            raise ValueError("it sets attributes of something other than a dict")


def _checked_key(key: Any) -> Any:
    """Return a key of a dict; a tuple can take for ever to compute its hash."""
    if type(key) in (str, bool, type(None)) or (type(key) is int and abs(key) < MAX_KEY):
        return key
    shown = shortened(repr(key), 100) if type(key) in (int, float) else type(key).__name__
    raise CheckpointError(
        f"its keys must be text or small integers. Received: {shown}. Save the state dict alone, "
        "torch.save(model.state_dict(), path)."
    )


STOP = ord(".")
# The names of the instructions in Python's `pickletools`, in brackets the protocol.
STEPS: dict[int, Callable[[_Interpreter], object]] = {
    0x80: _Interpreter._protocol,  # PROTO
    0x95: lambda machine: machine._take(8),  # FRAME (4)
    ord("N"): lambda machine: machine._push(None),  # NONE
    0x88: lambda machine: machine._push(True),  # NEWTRUE
    0x89: lambda machine: machine._push(False),  # NEWFALSE
    ord("J"): _Interpreter._push_signed,  # BININT
    ord("K"): lambda machine: machine._push(machine._number(1)),  # BININT1
    ord("M"): lambda machine: machine._push(machine._number(2)),  # BININT2
    0x8A: lambda machine: machine._push_integer(1),  # LONG1
    0x8B: lambda machine: machine._push_integer(4),  # LONG4
    ord("G"): _Interpreter._push_float,  # BINFLOAT
    ord("U"): lambda machine: machine._push_text(1),  # SHORT_BINSTRING
    ord("T"): lambda machine: machine._push_text(4),  # BINSTRING
    ord("X"): lambda machine: machine._push_text(4),  # BINUNICODE
    0x8C: lambda machine: machine._push_text(1),  # SHORT_BINUNICODE (4)
    0x8D: lambda machine: machine._push_text(8),  # BINUNICODE8 (4)
    ord("C"): lambda machine: machine._push_bytes(1),  # SHORT_BINBYTES (3)
    ord("B"): lambda machine: machine._push_bytes(4),  # BINBYTES (3)
    0x8E: lambda machine: machine._push_bytes(8),  # BINBYTES8 (4)
    0x96: lambda machine: machine._push_bytes(8),  # BYTEARRAY8 (5)
    ord("}"): lambda machine: machine._push({}),  # EMPTY_DICT
    ord("]"): lambda machine: machine._push([]),  # EMPTY_LIST
    0x8F: lambda machine: machine._push([]),  # EMPTY_SET (4)
    ord(")"): lambda machine: machine._push(()),  # EMPTY_TUPLE
    ord("("): _Interpreter._mark,  # MARK
    ord("t"): _Interpreter._marked_tuple,  # TUPLE
    0x85: lambda machine: machine._tuple(1),  # TUPLE1
    0x86: lambda machine: machine._tuple(2),  # TUPLE2
    0x87: lambda machine: machine._tuple(3),  # TUPLE3
    0x91: _Interpreter._marked_list,  # FROZENSET (4)
    ord("a"): _Interpreter._append,  # APPEND
    ord("e"): _Interpreter._extend,  # APPENDS
    0x90: _Interpreter._extend,  # ADDITEMS (4)
    ord("s"): _Interpreter._set_item,  # SETITEM
    ord("u"): _Interpreter._set_items,  # SETITEMS
    ord("0"): lambda machine: machine._stack.pop(),  # POP
    ord("1"): _Interpreter._pop_mark,  # POP_MARK
    ord("2"): lambda machine: machine._push(machine._stack[-1]),  # DUP
    ord("q"): lambda machine: machine._put(1),  # BINPUT
    ord("r"): lambda machine: machine._put(4),  # LONG_BINPUT
    0x94: _Interpreter._memoize,  # MEMOIZE (4)
    ord("h"): lambda machine: machine._get(1),  # BINGET
    ord("j"): lambda machine: machine._get(4),  # LONG_BINGET
    ord("c"): _Interpreter._global,  # GLOBAL
    0x93: _Interpreter._stack_global,  # STACK_GLOBAL (4)
    ord("R"): _Interpreter._reduce,  # REDUCE
    0x81: _Interpreter._new_object,  # NEWOBJ
    ord("Q"): _Interpreter._persistent,  # BINPERSID
    ord("b"): _Interpreter._build,  # BUILD
}
