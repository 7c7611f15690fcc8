"""The compiled passes: what a compiled file depends on, where it is kept, and what runs without it."""

import logging
import shutil
from pathlib import Path

import pytest
import torch
from conftest import LABELS, small_net

from aia import AIAConfig, AIAError, AIANet, inspect
from aia.kernels import build
from aia.modeling import fast_training

needs_compiler = pytest.mark.skipif(fast_training.library() is None, reason="no C compiler here")


@pytest.fixture
def fresh(caplog):
    """Nothing is compiled or said yet; after the test neither."""
    caplog.set_level(logging.WARNING, build.__name__)
    for function in (build.library, build._warn_once):
        function.cache_clear()
    yield caplog
    for function in (build.library, build._warn_once):
        function.cache_clear()


def run_both() -> None:
    """Inference and training take their passes where they have some, and give what the reference gives."""
    net = AIANet(AIAConfig(LABELS, arch="mobilenet_v2", temporal="tsn", attention="cinst")).eval()
    x = torch.randn(1, 2, 3, 64, 64)
    with torch.inference_mode():
        wanted = net(x)
    net.optimize()
    with torch.inference_mode():
        assert torch.allclose(net(x), wanted, atol=1e-5)
    net.train()(x.expand(2, -1, -1, -1, -1)).sum().backward()


def test_the_key_changes_with_the_source_the_header_and_the_flags(tmp_path):
    for file in Path(build.__file__).parent.glob("*.[ch]"):
        shutil.copy(file, tmp_path)
    source, command = tmp_path / "inference.c", ["cc", "-O3"]
    keys = {build._key(source, command), build._key(source, [*command, "-DBFLOAT16"])}
    for changed in ("inference.c", "layout.h"):
        (tmp_path / changed).write_text((tmp_path / changed).read_text() + "\n")
        keys.add(build._key(source, command))
    assert len(keys) == 4


@pytest.mark.long
@needs_compiler
def test_a_cache_that_cannot_be_written_costs_a_compilation_and_is_said_once(fresh, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert build.library("inference.c") is not None and fast_training.library() is not None
    run_both()
    assert [record.levelname for record in fresh.records] == ["WARNING"]
    assert "cache" in fresh.text and str(tmp_path) not in fresh.text
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.slow
@needs_compiler
def test_a_compiled_file_is_kept_and_used_again(fresh, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.library("training.c") is not None
    [kept] = (tmp_path / "aia-studio").iterdir()
    build.library.cache_clear()
    monkeypatch.setattr(build, "_compile", None)
    assert build.library("training.c") is not None and kept.suffix == ".so" and not fresh.records


@pytest.mark.slow
@needs_compiler
def test_a_compiler_may_have_arguments(fresh, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CC", "env cc -O1")
    assert build.library("training.c") is not None and not fresh.records


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_no_compiler_drops_the_test_for_numbers_that_are_not_finite(fresh, monkeypatch, tmp_path, clip, compiler):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler} here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CC", compiler)
    net = small_net("cinst", "tsn", "resnet18").optimize()
    with torch.no_grad():
        net.backbone.layer2[0].conv1.weight.mul_(1e38)
    with pytest.raises(AIAError, match="not finite"):
        inspect(net, clip)
    assert build.library("inference.c") is not None and not fresh.records, "the compiled passes ran"


@pytest.mark.slow
@needs_compiler
def test_a_compiler_that_does_not_know_this_processor_compiles_for_any(fresh, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\ncase " $* " in *" -march=native "*) exit 1;; esac\nexec cc "$@"\n')
    compiler.chmod(0o700)
    monkeypatch.setenv("CC", str(compiler))
    assert build.library("training.c") is not None and not fresh.records


def test_what_a_compiler_says_when_it_fails_is_in_the_log(fresh, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CC", "sh -c 'echo no option $((40 + 2)) >&2; exit 1'")
    fresh.set_level(logging.INFO, build.__name__)
    assert build.library("training.c") is None and "no option 42" in fresh.text


@pytest.mark.slow
@pytest.mark.parametrize("compiler", [None, "false", "no-such-compiler -O2"])
def test_without_a_compiler_that_works_the_reference_runs_and_that_is_said_once(fresh, monkeypatch, tmp_path, compiler):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if compiler:
        monkeypatch.setenv("CC", compiler)
    else:
        monkeypatch.setenv("PATH", "")
        monkeypatch.delenv("CC", raising=False)
    assert build.library("inference.c") is None and fast_training.library() is None
    run_both()
    assert len([record for record in fresh.records if "without compiled passes" in record.getMessage()]) == 1
