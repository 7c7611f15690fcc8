"""Reads PyTorch's checkpoint files as data: no code in them runs, whatever they name or call.

A pickle is a program for a small stack machine. `_unpickle` follows it, but imports nothing, calls nothing and sets no
attribute. A class or a function is only a name, and a call becomes the description of a tensor, a dict or a stub.
The numbers of a tensor are read last, after its name and shape are known to fit.
"""

from __future__ import annotations

import io
import mmap
import pickletools
import re
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from aia.errors import AIAError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first value in files of torch.save before PyTorch 1.6
_MAX_DEPTH = 8  # nested containers that are searched for weights
_MAX_AXES, _MAX_ARGS = 64, 16  # of a tensor; of a call that is followed
_STORAGE = re.compile(r"torch\.(?:cuda\.)?(\w+)Storage")
_DTYPES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
}
_UNTYPED = "torch.storage.UntypedStorage"  # bytes, whose type stands in the call that makes a tensor of them
_FLOAT8 = {
    str(dtype): dtype
    for dtype in (torch.float8_e4m3fn, torch.float8_e4m3fnuz, torch.float8_e5m2, torch.float8_e5m2fnuz)
}


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor in a file. `read` raises any exception if the file is damaged."""

    shape: tuple[int, ...]
    read: Callable[[], Tensor]


class Stub(dict[str, Any]):
    """Stands for an object of any other class. It keeps items, since the class may be a kind of dict, but no state."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


@dataclass(frozen=True, eq=False)
class _Global:
    """A class or a function, by its name."""

    name: str


@dataclass(frozen=True, eq=False)
class _Storage:
    """The bytes behind one or several tensors."""

    dtype: torch.dtype
    first: int  # the element that tensors count from
    load: Callable[[int, int], bytes]  # the bytes from start to stop

    def tensor(self, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> StoredTensor:
        """A tensor in this storage. Arguments as for `torch.Tensor.as_strided`."""
        if len(shape) > _MAX_AXES or len(shape) != len(stride):
            raise ValueError
        if not all(type(n) is int and 0 <= n < 2**60 for n in (self.first, offset, *shape, *stride)):
            raise ValueError
        # From the first to the last element; an empty tensor has none.
        length = 1 + sum((n - 1) * step for n, step in zip(shape, stride, strict=True)) if all(shape) else 0

        def read() -> Tensor:
            if not length:
                return torch.empty(shape, dtype=self.dtype)
            start = (self.first + offset) * self.dtype.itemsize
            content = bytearray(self.load(start, start + length * self.dtype.itemsize))
            # Raises if there are fewer bytes than the tensor needs.
            return torch.frombuffer(content, dtype=self.dtype, count=length).as_strided(shape, stride)

        return StoredTensor(shape, read)


def read_state_dicts(path: str | Path) -> dict[str, dict[str, Any]]:
    """Finds the named tensors in a file that torch.save (of PyTorch 0.2 or newer) or safetensors wrote.

    Args:
        path: A file with a dict of tensors, at the top level or in other containers.

    Returns:
        The keys that lead to a dict, joined by dots -> the dict: name -> `StoredTensor` or another value. Dicts closer to
        the top level come first.

    Raises:
        AIAError: The file is missing, damaged, or has no named tensor.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(512)
    except OSError:
        raise AIAError(f"{path} cannot be read; check the path.") from None
    try:
        if start.startswith(b"\x1f\x8b") or start[257:262] == b"ustar":  # gzip or tar
            raise _no_checkpoint(path)
        if start[8:9] == b"{":  # safetensors: the length of a JSON object comes first
            tree: Any = _read_safetensors(path)
        else:
            tree = _read_zip(path) if start.startswith(b"PK\x03\x04") else _read_legacy(path)
    except AIAError:
        raise
    except Exception:  # the readers raise many kinds of errors for a damaged file
        raise AIAError(
            f"{path} is not a plain state dict: it is damaged or not a PyTorch checkpoint; download or save it again."
        ) from None
    state_dicts = dict(_named_tensors(tree))
    are_arrays = not _has_weights(tree, _is_tensor) and _has_weights(tree, _is_array)
    if are_arrays or not state_dicts:
        stub = next((value.name for _, value in _containers(tree) if isinstance(value, Stub)), "")
        instead = f"{f'objects such as {stub[:80]!r}' if stub else 'something else'} and no named tensors"
        raise AIAError(
            f"{path} is not a plain state dict: it holds {'its weights as NumPy arrays' if are_arrays else instead}; save "
            "the network's weights with torch.save(model.state_dict(), FILE)."
        )
    return state_dicts


def _no_checkpoint(path: str | Path) -> AIAError:
    return AIAError(f"{path} is an archive; unpack it and give the checkpoint in it.")


def _named_tensors(tree: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for keys, value in _containers(tree):
        if isinstance(value, dict) and any(map(_is_tensor, value.values())):
            yield keys, value


def _has_weights(tree: Any, is_kind: Callable[[Any], bool]) -> bool:
    """Whether a value of a kind is named as the weights of a layer are; other arrays and tensors lie beside many networks."""
    return any(
        name.endswith(".weight") and is_kind(item)
        for _, value in _containers(tree)
        if isinstance(value, dict)
        for name, item in value.items()
    )


def _is_tensor(value: Any) -> bool:
    return isinstance(value, StoredTensor)


def _is_array(value: Any) -> bool:
    return isinstance(value, Stub) and value.name.startswith("numpy.") and value.name.endswith("._reconstruct")


def _containers(tree: Any) -> Iterator[tuple[str, Any]]:
    """Every dict, list and tuple once, with the keys that lead to it. Those closer to the top level come first."""
    queue = deque([("", 0, tree)] if isinstance(tree, dict | list | tuple) else [])
    visited: set[int] = set()
    while queue:
        keys, depth, value = queue.popleft()
        if id(value) in visited or depth > _MAX_DEPTH:
            continue
        visited.add(id(value))
        yield keys, value
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(inner, dict | list | tuple):
                queue.append((f"{keys}.{str(key)[:80]}".lstrip("."), depth + 1, inner))


# ---------------------------------------------------------------- files


def _read_safetensors(path: str | Path) -> dict[str, StoredTensor]:
    file: Any = safe_open(path, framework="pt")
    return {
        name: StoredTensor(tuple(file.get_slice(name).get_shape()), partial(file.get_tensor, name))
        for name in file.keys()  # noqa: SIM118  it is not a dict
    }


def _read_zip(path: str | Path) -> Any:
    """Reads the format since PyTorch 1.6: a zip archive of a pickle and one record per storage."""
    archive, size = zipfile.ZipFile(path), Path(path).stat().st_size
    pickles = [name for name in archive.namelist() if name.split("/")[-1] == "data.pkl"]
    if not pickles:
        raise _no_checkpoint(path)
    root = pickles[0].removesuffix("data.pkl")

    @lru_cache(maxsize=1)  # several tensors may share a storage
    def record(name: str) -> bytes:
        entry = archive.getinfo(root + name)
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > size:
            raise ValueError  # torch never compresses, and a small file must not become a large one
        return archive.read(entry)

    def storage(dtype: torch.dtype, key: str, view: Any) -> _Storage:
        return _Storage(dtype, 0, lambda start, stop: record(f"data/{key}")[start:stop])

    if f"{root}byteorder" in archive.namelist() and record("byteorder") != b"little":
        raise AIAError(f"{path} was written on a big-endian machine; save it again on another one.")
    return _unpickle(io.BytesIO(record("data.pkl")), storage)


def _read_legacy(path: str | Path) -> Any:
    """Reads the older format: several pickles, then the storages, each after its number of elements."""
    with Path(path).open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    dtypes: dict[str, torch.dtype] = {}
    ranges: dict[str, tuple[int, int]] = {}  # of bytes in the file

    def storage(dtype: torch.dtype, key: str, view: Any) -> _Storage:
        def load(start: int, stop: int) -> bytes:
            begin, end = ranges[key]
            return content[begin + start : min(begin + stop, end)]

        dtypes[key] = dtype
        return _Storage(dtype, view[1] if view else 0, load)

    if _unpickle(content) != _LEGACY_MAGIC:
        raise ValueError
    _unpickle(content)  # the format's version
    if not _unpickle(content)["little_endian"]:
        raise AIAError(f"{path} was written on a big-endian machine; save it again on another one.")
    tree = _unpickle(content, storage)
    for key in _unpickle(content):
        count = int.from_bytes(content.read(8), "little")
        stop = content.tell() + count * dtypes[key].itemsize
        ranges[key] = content.tell(), stop
        content.seek(stop)  # raises beyond the end
    return tree


# ---------------------------------------------------------------- pickles


def _unpickle(file: Any, storage: Callable[[torch.dtype, str, Any], _Storage] | None = None) -> Any:
    """Follows a pickle to its end.

    Only text becomes a key of a dict, because hashing nested tuples or inserting colliding numbers may take forever.

    Args:
        file: An object with read, readline and tell, at the pickle's start.
        storage: Makes a storage from its type, its key and, in the legacy format, the part of it that a tensor uses.

    Returns:
        Plain values and containers, `StoredTensor`, and a `Stub` for every object of another class.

    Raises:
        Exception: Any, for a damaged file.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}

    def since_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    for code, arg, _ in pickletools.genops(file):
        match code.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                marks.append(len(stack))
            case "POP":
                stack.pop()
            case "POP_MARK":
                since_mark()
            case "DUP":
                stack.append(stack[-1])
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[arg] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[arg])
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(code.name == "NEWTRUE")
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_SET":
                stack.append(Stub("builtins.set"))
            case "LIST":
                stack.append(since_mark())
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(code.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "DICT":
                items = since_mark()
                stack.append({})
                _put(stack[-1], items)
            case "FROZENSET":
                since_mark()
                stack.append(Stub("builtins.frozenset"))
            case "APPEND":
                item = stack.pop()
                _extend(stack[-1], [item])
            case "APPENDS" | "ADDITEMS":
                items = since_mark()
                _extend(stack[-1], items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _put(stack[-1], [key, value])
            case "SETITEMS":
                items = since_mark()
                _put(stack[-1], items)
            case "GLOBAL":
                stack.append(_Global(str(arg).replace(" ", ".")))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                if not isinstance(name, str) or not isinstance(module, str):
                    raise ValueError
                stack.append(_Global(f"{module}.{name}"))
            case "EXT1" | "EXT2" | "EXT4":
                stack.append(_Global("copyreg"))
            case "REDUCE" | "NEWOBJ":
                args, function = stack.pop(), stack.pop()
                stack.append(_called(function, args))
            case "NEWOBJ_EX":
                _, args, function = stack.pop(), stack.pop(), stack.pop()
                stack.append(_called(function, args))
            case "INST":
                stack.append(_called(_Global(str(arg).replace(" ", ".")), tuple(since_mark())))
            case "OBJ":
                function, *args = since_mark()
                stack.append(_called(function, tuple(args)))
            case "BUILD":
                stack.pop()  # the state of an object, which is not set
            case "PERSID":
                stack.append(Stub("persistent"))
            case "BINPERSID":
                stack.append(_stored(stack.pop(), storage))
            case _:
                if arg is None:
                    raise ValueError
                stack.append(arg)  # a number, text or bytes
    raise ValueError


def _put(target: Any, items: list[Any]) -> None:
    if isinstance(target, dict):
        target.update((key, value) for key, value in zip(items[::2], items[1::2], strict=True) if type(key) is str)


def _extend(target: Any, items: list[Any]) -> None:
    if isinstance(target, list):
        target.extend(items)


def _called(function: Any, args: Any) -> Any:
    """The description of what a call would make. Nothing is called."""
    name = function.name if isinstance(function, _Global) else "object"
    if not isinstance(args, tuple) or len(args) > _MAX_ARGS:
        return Stub(name)
    match name, args:
        # The arguments after the stride: requires_grad, hooks, and whether the values are negated or conjugated.
        case (
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2",
            (_Storage() as stored, offset, tuple() as shape, tuple() as stride, *more),
        ) if not any(more[2:]):
            return stored.tensor(offset, shape, stride)
        case (
            "torch._utils._rebuild_tensor_v3",
            (_Storage(first=0) as stored, offset, tuple() as shape, tuple() as stride, _, _, _Global(name=dtype)),
        ) if dtype in _FLOAT8:
            return replace(stored, dtype=_FLOAT8[dtype]).tensor(offset, shape, stride)
        case (
            "torch._utils._rebuild_parameter"
            | "torch._utils._rebuild_parameter_with_state"
            | "torch._utils._rebuild_device_tensor_from_cpu_tensor"
            | "torch.Size",
            (first, *_),
        ):
            return first
        case "torch._tensor._rebuild_from_type_v2", (function, _, args, *_):
            return _called(function, args)
        case "collections.OrderedDict" | "collections.defaultdict", _:
            items: dict[str, Any] = {}
            if args and isinstance(args[0], list):  # pairs, from Python 2
                _put(items, [part for pair in args[0] for part in pair])
                args[0].clear()  # a list that is used again is read only once
            return items
    return Stub(name)


def _stored(key: Any, storage: Callable[[torch.dtype, str, Any], _Storage] | None) -> Any:
    """The meaning of a persistent id: a storage, or the class of a module. The latter has source code, which is dropped."""
    match key:
        case ("storage", _Global(name=name), str() as number, *more) if storage and len(key) <= _MAX_ARGS:
            kind = _STORAGE.fullmatch(name)
            dtype = _DTYPES.get(kind[1]) if kind else None  # a quantized one needs its scale
            dtype = torch.uint8 if name == _UNTYPED else dtype
            return Stub(name) if dtype is None else storage(dtype, number, more[2] if len(more) > 2 else None)
        case "module", _Global() as kind, *_:
            return kind
    raise ValueError
