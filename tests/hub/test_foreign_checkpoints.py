"""Checkpoints as other programs write them: nothing in them runs, and the weights are found."""

import argparse
import contextlib
import copyreg
import datetime
import enum
import io
import os
import pathlib
import pickle
import pickletools
import shutil
import struct
import sys
import tracemalloc
import types
import zipfile
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import others_long, small_net
from torch import nn
from torchvision.models import mobilenet_v2, resnet18

from aia import AIAConfig, AIAError, AIANet, load
from aia.cli import main
from aia.hub.checkpoint import StoredTensor, Stub, read_state_dicts
from aia.hub.fit import best_fits
from aia.training.start import load_start

LEGACY = {"_use_new_zipfile_serialization": False}

# ---------------------------------------------------------------- pickles by hand


def write(path: Path, value: bytes, legacy=False, **storages: bytes) -> Path:
    """A checkpoint of a hand-written pickle; storages are named after their keys, such as _0."""
    program = b"\x80\x02" + value + b"."
    if not legacy:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", program)
            for key, content in storages.items():
                archive.writestr(f"archive/data/{key[1:]}", content)
        return path
    head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}]
    with path.open("wb") as file:
        file.write(b"".join(pickle.dumps(one, 2) for one in head) + program)
        file.write(pickle.dumps([key[1:] for key in storages], 2))
        for content in storages.values():
            file.write(struct.pack("<q", len(content) // 4) + content)
    return path


def plain(value) -> bytes:
    """The instructions for a plain value."""
    return pickletools.optimize(pickle.dumps(value, 2))[2:-1]


def named(name: str) -> bytes:
    module, _, name = name.rpartition(".")
    return f"c{module}\n{name}\n".encode()


def call(name: str, *args: bytes) -> bytes:
    return named(name) + b"(" + b"".join(args) + b"tR"


def mapping(**items: bytes) -> bytes:
    return b"}(" + b"".join(plain(key) + value for key, value in items.items()) + b"u"


def storage(kind="torch.FloatStorage", key="0", count=4, *view) -> bytes:
    return b"(" + plain("storage") + named(kind) + b"".join(map(plain, (key, "cuda:3", count, *view))) + b"tQ"


def tensor(offset=0, shape=(2, 2), stride=(2, 1), data=None) -> bytes:
    rest = plain(False) + call("collections.OrderedDict")
    return call("torch._utils._rebuild_tensor_v2", data or storage(), *map(plain, (offset, shape, stride)), rest)


VALUES = np.arange(4, dtype="<f4").tobytes()


def read(path: Path) -> dict:
    """The tensors of the one state dict in a file."""
    (state,) = read_state_dicts(path).values()
    return {name: t.read() for name, t in state.items() if isinstance(t, StoredTensor)}


@contextlib.contextmanager
def python_memory_below(size: float):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


# ---------------------------------------------------------------- nothing runs


def shell(command: str) -> bytes:
    return call("os.system", plain(command))


ATTACKS = {
    "reduce": shell,
    "eval": lambda c: call("builtins.eval", plain(f"__import__('os').system({c!r})")),
    "exec": lambda c: call("builtins.exec", plain(f"import os; os.system({c!r})")),
    "getattr": lambda c: (
        call("builtins.getattr", call("builtins.__import__", plain("os")), plain("system")) + plain((c,)) + b"R"
    ),
    "stack global": lambda c: plain("os") + plain("system") + b"\x93" + plain((c,)) + b"R",
    "dotted": lambda c: b"\x80\x04" + plain("os") + plain("path.os.system") + b"\x93" + plain((c,)) + b"R",
    "inst": lambda c: b"(" + plain(c) + b"ios\nsystem\n",
    "obj": lambda c: b"(" + named("os.system") + plain(c) + b"o",
    "map": lambda c: call("builtins.list", call("builtins.map", named("os.system"), plain([c]))),
    "partial": lambda c: call("functools.partial", named("os.system"), plain(c)) + b")R",
    "tensor subclass": lambda c: call(
        "torch._tensor._rebuild_from_type_v2", named("os.system"), named("torch.Tensor"), plain((c,)), plain({})
    ),
    "state": lambda c: call("argparse.Namespace") + mapping(x=shell(c)) + b"b",
    "setstate": lambda c: (
        call("argparse.Namespace") + mapping(__setstate__=named("os.system")) + b"b" + plain(c) + b"b"
    ),
    "items": lambda c: call("collections.defaultdict") + plain("key") + shell(c) + b"s",
    "append": lambda c: call("argparse.Namespace") + mapping(append=named("os.system")) + b"b" + plain(c) + b"a",
    "extension": lambda c: b"\x82\xf0" + plain((c,)) + b"R",
    "key": lambda c: b"}" + shell(c) + plain(1) + b"s",
    "factory": lambda c: call("collections.defaultdict", shell(c)),
    "persistent id": lambda c: b"(" + plain("storage") + shell(c) + plain(("0", "cpu", 4))[1:-1] + b"tQ",
    "hooks": lambda c: call(
        "torch._utils._rebuild_tensor_v2", storage(), *map(plain, (0, (1,), (1,), False)), shell(c)
    ),
}


class Everything(pickle.Unpickler):
    """What torch.load does without weights_only."""

    def persistent_load(self, key):
        return torch.zeros(4).untyped_storage()


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_in_a_checkpoint_runs(attack, tmp_path):
    mark = tmp_path / "ran"
    program = ATTACKS[attack](f"touch '{mark}'")
    copyreg.add_extension("os", "system", 240)
    try:
        with contextlib.suppress(Exception):
            Everything(io.BytesIO(b"\x80\x02" + program + b".")).load()
        assert mark.exists(), "the attack works on pickle"
        mark.unlink()
        inside = mapping(weight=tensor(), other=program)
        whole = mapping(optimizer=mapping(state=program), args=program, state_dict=inside)
        for legacy in (False, True):
            path = write(tmp_path / f"{legacy}.pth", whole, legacy, _0=VALUES)
            try:
                state = read_state_dicts(path)["state_dict"]
            except AIAError:
                assert attack == "persistent id"
            else:
                assert state["weight"].read().tolist() == [[0, 1], [2, 3]]
            assert not mark.exists()
    finally:
        copyreg.remove_extension("os", "system", 240)


class Loud:
    """A class of this process that tells of everything that is done to it."""

    done: list = []  # noqa: RUF012

    def __new__(cls, *args, **kwargs):
        cls.done.append("new")
        return super().__new__(cls)

    def __init__(self, *args):
        self.done.append("init")

    def __setstate__(self, state):
        self.done.append("state")

    def __setitem__(self, key, value):
        self.done.append("item")

    def __call__(self, *args):
        self.done.append("call")

    def append(self, value):
        self.done.append("append")

    extend = add = append


def test_an_object_of_any_class_is_a_stub_whatever_is_done_with_it(tmp_path):
    loud = named(f"{__name__}.Loud")
    steps = {
        "newobj": loud + b")\x81",
        "newobj_ex": loud + b")}\x92",
        "reduce": loud + b")R",
        "reduce the object": loud + b")R" + b")R",
        "build": loud + b")R" + plain({"a": 1}) + b"b",
        "build the class": loud + plain({"a": 1}) + b"b",
        "slots": loud + b")R" + plain((None, {"__class__": 3})) + b"b",
        "setitem": loud + b")R" + plain("a") + plain(1) + b"s",
        "setitems": loud + b")R" + b"(" + plain("a") + plain(1) + b"u",
        "append": loud + b")R" + plain(1) + b"a",
        "appends": loud + b")R" + b"(" + plain(1) + b"e",
        "additems": loud + b")R" + b"(" + plain(1) + b"\x90",
        "as a key": b"}" + loud + b")R" + plain(1) + b"s",
        "in a set": b"\x8f(" + loud + b")R" + b"\x90",
        "in a frozenset": b"(" + loud + b")R" + b"\x91",
        "list and dict": b"(" + loud + b")R" + b"l0(" + plain("a") + loud + b")Rd",
        "popped": loud + b")R200(" + loud + b")R1N",
    }
    Loud.done.clear()
    path = write(tmp_path / "ckpt.pth", mapping(state_dict=mapping(weight=tensor()), **steps), _0=VALUES)
    assert read(path)["weight"].shape == (2, 2)
    assert Loud.done == []


# ---------------------------------------------------------------- what a file claims

DAMAGED = {
    "storage shorter than the tensor": tensor(shape=(3, 2)),
    "offset beyond the storage": tensor(offset=4, shape=(1,), stride=(1,)),
    "offset near 2**63": tensor(offset=2**59, shape=(1,), stride=(1,)),
    "offset of a hundred digits": tensor(offset=10**100),
    "negative offset": tensor(offset=-1),
    "negative size": tensor(shape=(-2, -2)),
    "negative stride": tensor(stride=(-2, 1)),
    "fewer strides than sizes": tensor(stride=(1,)),
    "a size that is no number": tensor(shape=("2", 2)),
    "a size that is a truth value": tensor(shape=(True, 2)),
    "a tensor of exabytes": tensor(shape=(2**30, 2**30), stride=(2**30, 1)),
    "no such storage": tensor(data=storage(key="1")),
    "a storage outside the archive's folder": tensor(data=storage(key="../../../../etc/passwd")),
    "persistent id that is text": b"Pstorage\n0" + tensor(data=plain("0") + b"Q"),
    "persistent id without a key": tensor(data=b"(" + plain("storage") + b"tQ"),
    "persistent id of numbers": tensor(data=plain((1, 2, 3)) + b"Q"),
}


@pytest.mark.parametrize("claim", DAMAGED)
def test_claims_that_a_file_does_not_hold_are_refused(claim, tmp_path):
    for legacy in (False, True):
        path = write(tmp_path / "ckpt.pth", mapping(w=DAMAGED[claim]), legacy, _0=VALUES)
        with python_memory_below(50e6), pytest.raises((AIAError, ValueError, LookupError)):
            read(path)


def test_a_tensor_that_repeats_its_numbers_is_no_larger_than_its_file(tmp_path):
    path = write(tmp_path / "ckpt.pth", mapping(w=tensor(shape=(2**20, 2**20), stride=(0, 0))), _0=VALUES)
    assert read(path)["w"].untyped_storage().nbytes() == 4


SUBCLASS = "torch._tensor._rebuild_from_type_v2"
BOMBS = {
    "a memo of 2**32 places": b"}r\xff\xff\xff\xff",
    "text of 4 GB": b"X\xff\xff\xff\xff",
    "bytes of 2**60": b"\x8e" + struct.pack("<Q", 2**60),
    "a byte array of 2**60": b"\x96" + struct.pack("<Q", 2**60),
    "a number of 2**31 bytes": b"\x8b\xff\xff\xff\x7f",
    "a number of a million digits": b"I" + b"9" * 10**6 + b"\n",
    "lists a hundred thousand deep": b"]" * 10**5 + b"a" * (10**5 - 1),
    "dicts ten thousand deep": (b"}" + plain("k")) * 10**4 + b"N" + b"s" * 10**4,
    "tuples that double": b")" + b"2\x86" * 200,
    "tuples that double as a key": b"})" + b"2\x86" * 200 + b"Ns",
    "a list that holds itself": b"]q\0h\0ah\0a",
    "nested calls": (b"(" + named(SUBCLASS) + b"N") * 10**4 + b")" + b"Nt" * 10**4 + b"q\0" + named(SUBCLASS) + b"h\0R",
    "marks": b"(" * 10**5 + b"N",
    "an unknown instruction": b"\xff",
    "a name that is a list": b"]]\x93",
}


@pytest.mark.slow
@pytest.mark.parametrize("bomb", others_long(BOMBS, *list(BOMBS)[:2]))
def test_a_pickle_that_grows_is_read_or_refused_at_once(bomb, tmp_path):
    for legacy in (False, True):
        path = write(tmp_path / "ckpt.pth", mapping(w=tensor()) + BOMBS[bomb] + b"0", legacy, _0=VALUES)
        with python_memory_below(200e6):
            try:
                assert read(path)["w"].shape == (2, 2)
            except AIAError as error:
                assert "ckpt.pth is not a plain state dict" in str(error)


@pytest.mark.long
def test_keys_that_collide_and_pairs_that_are_named_again_take_no_time(tmp_path):
    prime = 2**61 - 1  # so many of each that Python's own dict would take longer than pytest's timeout
    keys = b"}(" + b"".join(plain(i * prime) + b"N" for i in range(1, 500_000)) + b"u"
    pairs = plain([["k", 1]] * 100_000) + b"q\0" + b"0" + b"".join([call("collections.OrderedDict", b"h\0")] * 100_000)
    wide = plain(tuple(range(50_000))) + b"q\1" + (named("torch.Size") + b"h\1R") * 50_000
    path = write(tmp_path / "ckpt.pth", pairs + wide + mapping(w=tensor(), keys=keys), _0=VALUES)
    assert read(path)["w"].shape == (2, 2)


@pytest.mark.slow
def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "ckpt.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + b"(" * 10**8 + b".")
    with python_memory_below(10e6), pytest.raises(AIAError, match="not a plain state dict"):
        read_state_dicts(path)


@pytest.mark.slow
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_file_cut_short_or_changed_anywhere_gives_a_sentence_or_its_weights(legacy, tmp_path):
    path, rng = tmp_path / "ckpt.pth", np.random.default_rng(0)
    torch.save({"state_dict": {"w": torch.arange(300.0), "b": torch.ones(3).half()}, "lr": np.float64(0.1)}, path)
    if legacy:
        torch.save(torch.load(path, weights_only=False), path, **LEGACY)
    good = path.read_bytes()
    changed = [good[:length] for length in range(0, len(good), 37)]
    for _ in range(300):
        bad = bytearray(good)
        for place in rng.integers(0, len(bad), 3):
            bad[place] = rng.integers(256)
        changed.append(bytes(bad))
    for content in changed:
        path.write_bytes(content)
        try:
            states = read_state_dicts(path)
        except AIAError as error:
            assert "ckpt.pth" in str(error) and "\n" not in str(error)
            continue
        for state in states.values():
            for one in state.values():
                try:
                    one.read() if isinstance(one, StoredTensor) else None
                except Exception as error:  # what `StoredTensor` promises: no exit, no crash
                    assert not isinstance(error, MemoryError)


# ---------------------------------------------------------------- what torch.save writes

FORMATS = {"zip": {}, "legacy": LEGACY, "protocol 4": {"pickle_protocol": 4}, "protocol 5": {"pickle_protocol": 5}}


@pytest.mark.parametrize("options", FORMATS.values(), ids=FORMATS)
def test_tensors_of_every_kind_are_those_of_torch_load(options, tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    state = OrderedDict(
        {
            "plain": base,
            "transposed": base.T,
            "part": base[1:, ::2],
            "expanded": base[0].expand(3, 6),
            "number": torch.tensor(5.0),
            "empty": torch.empty(0, 3),
            "parameter": nn.Parameter(base[0]),
            "buffer": nn.Buffer(base[1].clone()),
            "same": base,
            **{
                str(dtype): torch.ones(3, dtype=dtype)
                for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int8)
            },
            **{str(dtype): torch.ones(3, dtype=dtype) for dtype in (torch.bool, torch.complex64, torch.uint8)},
            **{str(dtype): base[0, 2:].to(dtype) for dtype in (torch.float8_e4m3fn, torch.float8_e5m2)},
        }
    )
    state["parameter"].note = "an attribute"
    state._metadata = {"": {"version": 2}}
    torch.save(state, tmp_path / "ckpt.pth", **options)
    found = read(tmp_path / "ckpt.pth")
    assert list(found) == list(state)
    for name, wanted in state.items():
        assert found[name].dtype == wanted.dtype, name
        assert torch.equal(found[name].to(torch.complex128), wanted.detach().to(torch.complex128)), name


@pytest.mark.parametrize("options", FORMATS.values(), ids=FORMATS)
def test_tensors_that_are_not_plain_are_stubs(options, tmp_path):
    odd = {"sparse": torch.eye(3).to_sparse(), "meta": torch.empty(3, device="meta")}
    if options != LEGACY:
        odd["quantized"] = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    torch.save({"w": torch.ones(2), **odd}, tmp_path / "ckpt.pth", **options)
    (state,) = read_state_dicts(tmp_path / "ckpt.pth").values()
    assert state["w"].read().tolist() == [1, 1]
    assert all(isinstance(state[name], Stub) for name in odd)


class Mode(enum.Enum):
    FAST = 1


class Settings(dict):
    """Like an EasyDict or Lightning's AttributeDict."""

    __getattr__ = dict.__getitem__


def foreign_objects() -> dict:
    """What trainers keep besides the weights, some of it of packages that the reader does not have."""
    omega, lightning = types.ModuleType("omegaconf"), types.ModuleType("lightning")
    for module, name in ((omega, "DictConfig"), (lightning, "ModelCheckpoint")):
        kind = type(name, (), {"__module__": module.__name__})
        setattr(module, name, kind)
    sys.modules |= {"omegaconf": omega, "lightning": lightning}
    config, callback = omega.DictConfig(), lightning.ModelCheckpoint()
    config._content, callback.path = {"lr": 0.1}, pathlib.PurePosixPath("/a/b")
    layer = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    optimizer.param_groups[0]["lr"] = np.float64(0.01)
    return {
        "optimizer": optimizer.state_dict(),
        "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 3).state_dict(),
        "args": argparse.Namespace(lr=0.1, path=pathlib.Path("x")),
        "config": config,
        "callbacks": [{callback: callback}, (callback, {1: callback})],
        "hyper_parameters": Settings(lr=0.1),
        "mode": Mode.FAST,
        "losses": defaultdict(list, {"train": [np.float32(1)]}),
        "seen": {1, 2},
        "frozen": frozenset({"a"}),
        "counter": Counter("abca"),
        "when": datetime.datetime.now(datetime.timezone.utc),
        "array": np.arange(6).reshape(2, 3),
        "random": np.random.RandomState(0).get_state(),
        "generator": torch.get_rng_state(),
        "network": nn.Sequential(nn.Linear(2, 2)),
        "dtype": (torch.float32, torch.device("cpu"), torch.Size([1]), torch.strided),
        "criterion": nn.CrossEntropyLoss(),
        "bytes": (b"\x00\xff", bytearray(b"x"), 1 + 2j, 10**30, slice(3), range(2)),
        "function": os.path.join,
    }


@pytest.mark.parametrize("options", FORMATS.values(), ids=FORMATS)
def test_the_weights_are_found_among_foreign_objects(options, tmp_path):
    path, weights = tmp_path / "ckpt.pth", {"module.w": torch.arange(3.0)}
    torch.save({**foreign_objects(), "state_dict": Settings(weights)}, path, **options)
    del sys.modules["omegaconf"], sys.modules["lightning"]
    states = read_state_dicts(path)
    assert states["state_dict"]["module.w"].read().tolist() == [0, 1, 2]


def test_a_checkpoint_of_python_2_is_read(tmp_path):
    pairs = b"](" + b"]" + b"(U\x01w" + tensor() + b"e" + b"e"  # BINSTRING, and pairs instead of items
    value = b"}U\nstate_dict" + call("collections.OrderedDict", pairs) + b"s"
    path = write(tmp_path / "ckpt.pth", value, legacy=True, _0=VALUES)
    assert read(path)["w"].tolist() == [[0, 1], [2, 3]]
    old = call("torch._utils._rebuild_tensor", storage(), *map(plain, (0, (4,), (1,))))  # PyTorch 0.3
    assert read(write(path, mapping(w=old), True, _0=VALUES))["w"].tolist() == [0, 1, 2, 3]
    part = tensor(shape=(2,), stride=(1,), data=storage("torch.FloatStorage", "0", 4, ("1", 2, 2)))
    assert read(write(path, mapping(w=part), True, _0=VALUES))["w"].tolist() == [2, 3]


@pytest.mark.parametrize("content", ["a whole network", "a list", "a tensor", "numbers", "NumPy arrays", "TorchScript"])
def test_a_file_without_named_tensors_is_refused_in_a_sentence(content, tmp_path):
    path = tmp_path / "ckpt.pth"
    if content == "TorchScript":
        torch.jit.script(nn.Linear(2, 2)).save(path)
    else:
        things = {
            "a whole network": {"model": nn.Linear(2, 2)},
            "a list": [torch.ones(2)],
            "a tensor": torch.ones(2),
            "numbers": {"epoch": 3},
            "NumPy arrays": {"w": np.ones(3)},
        }
        torch.save(things[content], path)
    with pytest.raises(AIAError, match=r"ckpt\.pth is not a plain state dict") as caught:
        read_state_dicts(path)
    assert ("Linear" in str(caught.value)) == (content in ("a whole network", "TorchScript"))


@pytest.mark.parametrize("beside", [{}, {"x": torch.ones(1)}, {"optimizer": {"lr": torch.ones(1)}}])
def test_weights_that_are_numpy_arrays_are_called_so(beside, tmp_path):
    arrays, path = {"conv.weight": np.ones(3), "conv.bias": np.ones(1)}, tmp_path / "ckpt.pth"
    torch.save({"state_dict": arrays, **beside}, path)
    with pytest.raises(AIAError, match="it holds its weights as NumPy arrays; save"):
        read_state_dicts(path)
    torch.save({"means": arrays, "model": {"conv.weight": torch.ones(2)}, **beside}, path)
    assert "model" in read_state_dicts(path)


@pytest.mark.parametrize("kind", ["tar", "gztar", "zip"])
def test_an_archive_around_a_checkpoint_is_named(kind, tmp_path):
    (tmp_path / "inside").mkdir()
    torch.save({"w": torch.ones(2)}, tmp_path / "inside" / "w.pth")
    path = shutil.make_archive(str(tmp_path / "ckpt"), kind, tmp_path / "inside")
    with pytest.raises(AIAError, match="is an archive; unpack it"):
        read_state_dicts(Path(path))


# ---------------------------------------------------------------- names

LABELS = ("left", "right", "still")


@pytest.fixture(scope="module")
def weights():
    """torchvision's ResNet-18 for three classes, in half precision so that the files are small."""
    torch.manual_seed(0)
    net = resnet18(num_classes=3)
    return {name: t.half() if t.is_floating_point() else t for name, t in net.state_dict().items()}


def published(weights: dict, before="module.") -> dict:
    return {
        before + (f"new_fc.{name[3:]}" if name.startswith("fc.") else f"base_model.{name}"): tensor
        for name, tensor in weights.items()
    }


def shifted(weights: dict) -> dict:
    """As TSM's own code names them: its shift wraps the first convolution of a block."""
    return {
        name.replace(".conv1.", ".conv1.net.") if ".layer" in name else name: tensor
        for name, tensor in published(weights).items()
    }


def convert(tmp_path, content, net="C2D"):
    """Runs the command; returns its exit status and the folder."""
    checkpoint, labels, out = tmp_path / "ckpt.pth.tar", tmp_path / "labels.txt", tmp_path / "out"
    torch.save(content, checkpoint)
    labels.write_text("\n".join(LABELS))
    return main(["convert", str(checkpoint), "--net", net, "--labels", str(labels), "--out", str(out)]), out


WRAPPED = {
    "the published trainer's step rate": lambda w: {
        "epoch": 3,
        "state_dict": published(w),
        "optimizer": {"param_groups": [{"lr": np.float64(0.01)}]},
        "args": argparse.Namespace(net="C2D"),
    },
    "bare": lambda w: published(w, ""),
    "torch.compile": lambda w: {"state_dict": published(w, "_orig_mod.module.")},
    "compiled within DataParallel": lambda w: {"model": published(w, "module._orig_mod.")},
    "Lightning": lambda w: {
        "state_dict": published(w, "model.net.") | {"criterion.weight": torch.ones(3)},
        "callbacks": {"ModelCheckpoint": {"best": pathlib.Path("x")}},
        "pytorch-lightning_version": "2.0",
    },
    "parts compiled": lambda w: {
        "model_state": {
            name.replace("layer1.", "layer1._orig_mod.")
            .replace("base_model.", "base_model.module.")
            .replace("new_fc.", "new_fc.module."): t
            for name, t in published(w, "net.backbone.").items()
        }
    },
    "deep": lambda w: {"train": [{"net": {"weights": published(w)}}, 3]},
    "an average beside another network": lambda w: {
        "model": {"teacher.conv.weight": torch.ones(2)},
        "model_ema": {"n_averaged": torch.tensor(3), **published(w)},
    },
    "beside a MobileNetV2": lambda w: {"net": published(w), "teacher": {"features.1.conv.0.weight": torch.ones(2)}},
    "averages within": lambda w: published(w, "model.") | published(w, "ema_model."),
    "torchvision's names": lambda w: w,
    "without dropout": lambda w: {"state_dict": {f"module.base_model.{name}": t for name, t in w.items()}},
    "named like the first part": lambda w: published(w, "base_model."),
    "named like the first part, within another": lambda w: {"state_dict": published(w, "model.base_model.module.")},
    "named like the classifier": lambda w: published(w, "new_fc."),
    "before PyTorch 0.4.1": lambda w: published({n: t for n, t in w.items() if "num_batches" not in n}),
}


@pytest.mark.slow
@pytest.mark.parametrize("wrap", others_long(WRAPPED, "bare", "Lightning", "the published trainer's step rate"))
def test_the_weights_are_found_whatever_wraps_them(wrap, weights, tmp_path):
    status, out = convert(tmp_path, WRAPPED[wrap](weights))
    assert status == 0
    state = load(out, device="cpu", optimize=False).state_dict()
    assert torch.equal(state["head.weight"], weights["fc.weight"].float())
    assert torch.equal(state["backbone.layer1.0.conv1.weight"], weights["layer1.0.conv1.weight"].float())
    assert torch.equal(state["backbone.layer4.1.bn2.running_var"], weights["layer4.1.bn2.running_var"].float())


def sizes(names: dict[str, int]) -> dict[str, torch.Tensor]:
    return {name: torch.empty(size) for name, size in names.items()}


OWN = {"backbone.conv1.weight": 1, "backbone.layer1.0.conv1.weight": 2, "head.weight": 3}


@pytest.mark.parametrize(
    "wrapper", ["", "module", "backbone", "head", "model.backbone", "backbone.backbone", "backbone.module.head", "a.b"]
)
def test_a_wrapper_may_have_any_name(wrapper):
    before = f"{wrapper}." * bool(wrapper)
    state = {before + name: StoredTensor((size,), torch.empty) for name, size in OWN.items()}
    fits = best_fits({"": state}, {"own": sizes(OWN)})
    assert [(fit.wrapper, fit.difference) for fit in fits] == [(wrapper, "")]
    assert fits[0].names == {name: before + name for name in OWN}
    lost = {name: tensor for name, tensor in state.items() if not name.endswith("head.weight")}
    (closest,) = best_fits({"": lost}, {"own": sizes(OWN)})
    assert "lacks head.weight" in closest.difference


@pytest.mark.long
def test_our_own_names_are_taken_as_an_error_about_pickled_weights_promises(tmp_path):
    net = small_net(arch="mobilenet_v2", temporal="tsn", attention="c")
    status, out = convert(tmp_path, {"model": {f"module.{n}": t for n, t in net.state_dict().items()}}, "C2D_C_BN")
    assert status == 0
    found = load(out, device="cpu", optimize=False)
    assert found.config.arch == "mobilenet_v2"
    assert all(torch.equal(t, net.state_dict()[name]) for name, t in found.state_dict().items())


@pytest.mark.long
def test_safetensors_are_taken_too(weights, tmp_path):
    safetensors.torch.save_file(published(weights), tmp_path / "w.safetensors")
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    args = ["--net", "C2D", "--labels", str(tmp_path / "labels.txt"), "--out", str(tmp_path / "out")]
    assert main(["convert", str(tmp_path / "w.safetensors"), *args]) == 0
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", 99) + b"{")
    assert main(["convert", str(tmp_path / "w.safetensors"), *args[:-1], str(tmp_path / "again")]) == 1


@pytest.mark.parametrize("name", ["a.pth", "A.SAFETENSORS", "a.safetensors", "a"])
def test_a_file_is_read_by_its_content_whatever_its_name(name, tmp_path):
    tensors = {"conv.weight": torch.arange(6.0).reshape(2, 3)}
    for write_file in (torch.save, safetensors.torch.save_file, lambda value, path: torch.save(value, path, **LEGACY)):
        write_file(tensors, tmp_path / name)
        assert torch.equal(read(tmp_path / name)["conv.weight"], tensors["conv.weight"])


def test_safetensors_without_a_tensor_are_refused_in_a_sentence(tmp_path):
    safetensors.torch.save_file({}, tmp_path / "empty.safetensors")
    with pytest.raises(AIAError, match=r"empty\.safetensors is not a plain state dict: .* no named tensors"):
        read_state_dicts(tmp_path / "empty.safetensors")


@pytest.mark.long
def test_weights_come_before_their_averages_wherever_both_fit(weights, tmp_path, caplog):
    average = {name: t + 1 if t.is_floating_point() else t for name, t in weights.items()}
    content = {"state_dict_ema": published(average), "state_dict": published(weights)}
    with caplog.at_level("INFO"):
        status, out = convert(tmp_path, content)
    assert status == 0 and "those (under 'state_dict_ema', names after 'module.') fit too" in caplog.text
    assert torch.equal(load(out, device="cpu").head.bias.detach(), weights["fc.bias"].float())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "wrapped"),
    [("layer1.0.", "layer1.0._fsdp_wrapped_module."), (".conv1.net.", ".conv1._orig_mod.net.")],
)
def test_a_wrapper_beside_tsms_shift_is_taken_off(part, wrapped, weights, tmp_path, capsys):
    content = {name.replace(part, wrapped): t for name, t in shifted(weights).items()}
    assert convert(tmp_path, content, "C2D")[0] == 1
    assert "--net TSM." in capsys.readouterr().err
    status, out = convert(tmp_path, content, "TSM")
    assert status == 0
    net = load(out, device="cpu", optimize=False)
    assert torch.equal(net.backbone.layer1[0].conv1.weight, weights["layer1.0.conv1.weight"].float())


@pytest.mark.slow
def test_checkpoints_of_tsms_own_code_become_tsm_and_nothing_else(weights, tmp_path, capsys):
    content = {"state_dict": shifted(weights), "best_prec1": 70.1}
    assert convert(tmp_path, content, "C2D")[0] == 1
    assert "--net TSM." in capsys.readouterr().err
    status, out = convert(tmp_path, content, "TSM")
    assert status == 0
    net = load(out, device="cpu", optimize=False)
    assert net.config.temporal == "tsm"
    assert torch.equal(net.backbone.layer2[1].conv1.weight, weights["layer2.1.conv1.weight"].float())


def unshifted(state: dict, block: str) -> dict:
    return {name.replace(f"{block}.conv1.net.", f"{block}.conv1."): t for name, t in state.items()}


REFUSED = {
    "a shift at other blocks": (lambda w: unshifted(shifted(w), "layer2.1"), "TSM", ["layer2.1"]),
    "a shift around whole blocks": (
        lambda w: {name.replace(".0.", ".0.net."): t for name, t in published(w).items()},
        "TSM",
        ["lacks", "unexpected", ".net."],
    ),
    "an unknown part within": (
        lambda w: {"state_dict": {n.replace(".conv1.", ".conv1.wrapped."): t for n, t in published(w).items()}},
        "C2D",
        ["'state_dict'", "'module.'", "base_model.conv1.weight and 8 more", "wrapped"],
    ),
    "another attention": (lambda w: {"model": published(w, "a.b.")}, "C2D_C_BN", ["'model'", "'a.b.'", "eft.C_conv"]),
    "a block more": (lambda w: published(w) | published({"layer4.2.conv1.weight": torch.ones(1)}), "C2D", ["layer4.2"]),
    "one name twice": (
        lambda w: published(w) | {"module.base_model.module.conv1.weight": torch.ones(1)},
        "C2D",
        ["base_model.conv1.weight twice"],
    ),
    "a sparse tensor": (
        lambda w: published({**w, "fc.weight": w["fc.weight"].float().to_sparse()}),
        "C2D",
        ["new_fc.weight as", "sparse"],
    ),
    "integers": (
        lambda w: published({**w, "fc.weight": torch.ones(3, 512, dtype=torch.int8)}),
        "C2D",
        ["integers (int8) in new_fc.weight"],
    ),
    "a name more under a wrapper named like the first part": (
        lambda w: published({**w, "extra": torch.ones(1)}, "base_model."),
        "C2D",
        ["'base_model.'", "unexpected 'base_model.extra'"],
    ),
    "complex numbers": (
        lambda w: published({**w, "fc.weight": torch.ones(3, 512, dtype=torch.complex64)}),
        "C2D",
        ["complex numbers in new_fc.weight"],
    ),
    "too large for a float32": (
        lambda w: published({**w, "fc.weight": torch.full((3, 512), 1e200, dtype=torch.float64)}),
        "C2D",
        ["not finite numbers"],
    ),
    "other classes": (
        lambda w: published({**w, "fc.weight": torch.ones(5, 512), "fc.bias": torch.ones(5)}),
        "C2D",
        ["5"],
    ),
    "another kind of network": (
        lambda w: {"features.0.weight": torch.ones(2)},
        "C2D",
        ["no known network", "features.0"],
    ),
    "torchvision's MobileNetV2": (lambda w: mobilenet_v2().state_dict(), "C2D", ["MobileNetV2", "train --init"]),
    "TSM's MobileNetV2": (
        lambda w: {
            "module.base_model.features.1.conv.0.net.weight": torch.ones(2),
            "module.new_fc.weight": torch.ones(3, 1280),
        },
        "TSM",
        ["MobileNetV2", "train --init"],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_named_as_the_file_names_it(case, weights, tmp_path, capsys):
    change, net, named = REFUSED[case]
    status, out = convert(tmp_path, change(weights), net)
    said = capsys.readouterr().err.strip()
    assert status == 1 and not out.exists()
    assert all(part in said for part in ("ckpt.pth.tar", *named)) and "\n" not in said, said


STARTS = {
    "torchvision": lambda w: w,
    "without a classifier": lambda w: {n: t for n, t in w.items() if not n.startswith("fc.")},
    "wrapped": lambda w: {"state_dict": {f"model.backbone.{n}": t for n, t in w.items()}, "args": argparse.Namespace()},
    "published": lambda w: {"state_dict": published(w), "optimizer": {"lr": np.float64(1)}},
    "TSM": lambda w: {"state_dict": shifted(w)},
    "other names in torchvision's order": lambda w: {
        f"a{i}": t for i, (n, t) in enumerate(w.items()) if not n.startswith("fc.")
    },
    "other names of the trunk, and TSM's classifier": lambda w: {
        f"module.{'base_model' * (not n.startswith('fc.'))}.{'new_' * n.startswith('fc.')}{n.replace('layer', 'part')}": t
        for n, t in w.items()
    },
    "other names without counters": lambda w: {
        f"a{i}": t for i, (n, t) in enumerate(w.items()) if not n.startswith("fc.") and t.ndim
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("start", STARTS)
def test_training_starts_from_the_same_files(start, weights, tmp_path):
    torch.save(STARTS[start](weights), tmp_path / "trunk.pth")
    net = small_net()
    load_start(net, str(tmp_path / "trunk.pth"))
    assert torch.equal(net.backbone.layer3[1].conv2.weight, weights["layer3.1.conv2.weight"].float())
    assert torch.equal(net.backbone.bn1.running_mean, weights["bn1.running_mean"].float())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda w: {f"net.{n}": t for n, t in w.items() if n != "layer2.0.bn1.bias"},
            ["'net.'", "lacks layer2.0.bn1.bias"],
        ),
        (lambda w: w | {"layer3.2.conv1.weight": torch.ones(2)}, ["unexpected 'layer3.2.conv1.weight'"]),
        (lambda w: w | {"conv1.weight": torch.full((64, 3, 7, 7), torch.inf)}, ["conv1.weight", "finite"]),
        (lambda w: {"features.0.weight": torch.ones(2)}, ["resnet18"]),
    ],
)
def test_a_start_that_does_not_fit_is_named(change, named, weights, tmp_path):
    torch.save({"state_dict": change(weights)}, tmp_path / "trunk.pth")
    with pytest.raises(AIAError) as caught:
        load_start(small_net(), str(tmp_path / "trunk.pth"))
    assert all(part in str(caught.value) for part in ("trunk.pth", *named)), caught.value


@pytest.mark.slow
def test_the_shift_of_tsms_resnet_101_is_known_to_be_another(tmp_path, capsys):
    """In a ResNet-101 their code shifts every second block of all stages, ours only of the third."""
    with torch.device("meta"):
        state = AIANet(AIAConfig(LABELS, arch="resnet101", temporal="tsm", attention="none")).state_dict()
    state = {
        name.replace("backbone.", "").replace("head.", "fc."): torch.zeros((), dtype=t.dtype).expand(t.shape)
        for name, t in state.items()
    }
    own = published(state)
    for name in list(own):
        stage, dot, rest = name.partition(".conv1.")
        if dot and "layer" in name and int(stage.rpartition(".")[2]) % 2 == 0:
            own[f"{stage}.conv1.net.{rest}"] = own.pop(name)
    assert convert(tmp_path, {"state_dict": own}, "TSM")[0] == 1
    assert "layer1.1" in capsys.readouterr().err
