"""Mutations of bytes of any format, and of JSON. All randomness comes from NumPy's generator."""

import json

INTERESTING = (0, 1, 2, 255, 256, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)


def pick(rng, items):
    return items[int(rng.integers(len(items)))]


def between(rng, low, high):
    """Return an integer of `low` to `high`, both included."""
    return int(rng.integers(low, max(high, low) + 1))


def flip(data, rng):
    at = between(rng, 0, len(data) - 1)
    return data[:at] + bytes([data[at] ^ 1 << between(rng, 0, 7)]) + data[at + 1 :]


def overwrite(data, rng):
    at, size = between(rng, 0, len(data) - 1), between(rng, 1, 8)
    return data[:at] + rng.bytes(len(data[at : at + size])) + data[at + size :]


def cut(data, rng):
    return data[: between(rng, 0, len(data) - 1)]


def remove(data, rng):
    at = between(rng, 0, len(data) - 1)
    return data[:at] + data[at + between(rng, 1, 64) :]


def insert(data, rng):
    at = between(rng, 0, len(data))
    return data[:at] + rng.bytes(between(rng, 1, 64)) + data[at:]


def repeat(data, rng):
    at, size = between(rng, 0, len(data) - 1), between(rng, 1, 512)
    return data[:at] + data[at : at + size] * between(rng, 2, 200) + data[at:]


def zero(data, rng):
    at, size = between(rng, 0, len(data) - 1), between(rng, 1, 512)
    return data[:at] + bytes(len(data[at : at + size])) + data[at + size :]


def move(data, rng):
    a, b = sorted(between(rng, 0, len(data)) for _ in range(2))
    return data[b:] + data[a:b] + data[:a]


def number(data, rng):
    """Replace an aligned number by one that counts, sizes and offsets seldom are."""
    width = pick(rng, (2, 4, 8))
    at = between(rng, 0, max(len(data) // width - 1, 0)) * width
    return put_number(data, at, width, rng)


def put_number(data, at, width, rng):
    """Replace the number at a place: by an interesting one, a near one, or another one there."""
    old = int.from_bytes(data[at : at + width], "little")
    other = between(rng, 0, max(len(data) // 8 - 1, 0)) * 8
    values = (
        pick(rng, INTERESTING),
        old + between(rng, -9, 9),
        old * 2,
        len(data) + between(rng, -9, 9),
        int.from_bytes(data[other : other + width], "little"),
        between(rng, 0, len(data)),
    )
    value = pick(rng, values) % (1 << 8 * width)
    return data[:at] + value.to_bytes(width, "little") + data[at + width :]


BYTES = (flip, overwrite, cut, remove, insert, repeat, zero, move, number, number, number)


def mutate_bytes(data, rng):
    """Return changed bytes, and what was done."""
    names = []
    for _ in range(pick(rng, (1, 1, 1, 2, 5, 20))):
        if not data:
            break
        mutation = pick(rng, BYTES)
        data = mutation(data, rng)
        names.append(mutation.__name__)
    return data, " ".join(names)


# JSON.


def _nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def strange_value(rng):
    """Return a JSON value that a reader may not expect."""
    values = (
        *(None, True, False, 0, 1, -1, 2, 3, 7, 1000, 65_536, 10**6, 2**31, 2**63, 10**30, 10**400),
        *(0.5, -1.5, 1e308, float("nan"), float("inf"), "", "a", "\x00", "é" * 1000, "silu"),
        *("__class__", "../../etc/passwd", [], {}, [1], [None], {"a": 1}, [0] * 1000, _nested(400)),
        {"class_name": "Lambda", "config": {"function": "os.system"}, "module": "keras.layers"},
        {"class_name": "function", "config": "system", "module": "os", "registered_name": "system"},
        {"class_name": "Popen", "config": {"args": "true"}, "module": "subprocess"},
        {"class_name": "__lambda__", "config": {"value": "4wEAAA==", "defaults": None}},
    )
    return pick(rng, values)


def mutate_json(text, rng):
    """Return changed JSON, and what was done."""
    document = json.loads(text)
    done = []
    for _ in range(pick(rng, (1, 1, 2, 4))):
        places = list(_places(document))
        if not places:
            break
        container, key = pick(rng, places)
        action = between(rng, 0, 5)
        done.append(f"{key!r}:{action}")
        if action == 0:
            del container[key]
        elif action == 1 and isinstance(container[key], (int, float)):
            container[key] = container[key] * pick(rng, (-1, 2, 10, 1000, 10**6, 10**12))
        elif action == 2:
            other, name = pick(rng, places)
            container[key] = json.loads(json.dumps(other[name])) if name in _keys(other) else None
        elif action == 3 and isinstance(container, dict):
            container[str(strange_value(rng))[:50]] = container[key]
        elif action == 4 and isinstance(container, list):
            container *= between(rng, 0, 50)
        else:
            container[key] = strange_value(rng)
    return json.dumps(document), "json " + " ".join(done)


def _keys(container):
    return container if isinstance(container, dict) else range(len(container))


def _places(value):
    pending = [(value, 0)]
    while pending:
        container, depth = pending.pop()
        if isinstance(container, (dict, list)) and depth < 100:
            for key in list(_keys(container)):
                yield container, key
                pending.append((container[key], depth + 1))
