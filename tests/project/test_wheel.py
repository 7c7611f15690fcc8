"""The built wheel, installed in an environment of its own, works from an empty folder."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

import aia
from aia.hub.groups import asked_models

EXAMPLE = ROOT / "assets" / "examples" / "swipe-left.mp4"
MAX_BYTES = 60_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Runs a program of the environment in an empty folder; without Gradio, a compiler, or a home to write to."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home / "env", with_pip=False)
    python = home / "env" / "bin" / "python"
    scripts = sysconfig.get_path("scripts", "venv", vars={"base": str(home / "env")})
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([*install, "--quiet", "--disable-pip-version-check"], check=True)
    site = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(home / "env")}))
    # The packages that the wheel needs are taken from where the tests run: PyTorch is some GB.
    (site / "needed.pth").write_text(sysconfig.get_path("purelib"))
    (site / "sitecustomize.py").write_text("import sys\nsys.modules['gradio'] = None\n")
    empty = home / "empty"
    empty.mkdir()
    environment = {"PATH": str(scripts), "HOME": "/nonexistent", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}
    environment["CUDA_VISIBLE_DEVICES"] = ""  # the compiled passes are those of a CPU

    def run(*command: str) -> subprocess.CompletedProcess:
        program = str(Path(scripts, command[0]))
        return subprocess.run([program, *command[1:]], cwd=empty, env=environment, capture_output=True, text=True)

    yield run
    assert list(empty.iterdir()) == []


@pytest.mark.long
def test_the_wheel_holds_the_library_its_kernels_and_its_models_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.stat().st_size < MAX_BYTES
    assert {name.split("/")[0] for name in names} == {"aia", f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"}
    there = set(names)
    for file in ("py.typed", "__init__.pyi", "kernels/inference.c", "kernels/training.c", "checkpoints/results.json"):
        assert f"aia/{file}" in there
    assert any(name.startswith("aia/training/configs/") for name in names)
    held = {name.split("/")[2] for name in names if name.endswith("model.safetensors")}
    assert set(asked_models().values()) <= held <= set(aia.available_models())


@pytest.mark.long
def test_the_command_classifies_a_clip_with_a_shipped_model_and_says_once_that_no_compiler_is_there(installed):
    done = installed("aia", "classify", str(EXAMPLE))
    assert done.returncode == 0, done.stderr
    assert "swipe left" in done.stdout
    assert done.stderr.count("without compiled passes") == 1


@pytest.mark.long
def test_a_program_loads_a_shipped_model_by_its_name(installed):
    program = (
        "import aia, sys; assert 'matplotlib' not in sys.modules;"
        "model = aia.load('tsm-mobilenetv2-cinst'); print(model.config.title, aia.__file__)"
    )
    done = installed("python", "-c", program)
    assert done.returncode == 0, done.stderr
    assert "CinST" in done.stdout and str(ROOT) not in done.stdout


@pytest.mark.long
def test_the_tables_of_the_shipped_models_are_printed(installed):
    done = installed("aia", "evaluate")
    assert done.returncode == 0, done.stderr
    assert "| TSN with CinST | 3 |" in done.stdout
