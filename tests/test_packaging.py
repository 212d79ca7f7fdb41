"""The wheel holds every subpackage and the bundled models, and works from another directory."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
PACKAGE_DATA = {".safetensors", ".json", ".md", ".typed"}
SOURCES = ("reason", "search", "training", "evals")


def _folder(package: str) -> pathlib.Path:
    mapping = SETUPTOOLS["package-dir"]
    parts = package.split(".")
    for cut in range(len(parts), 0, -1):
        prefix = ".".join(parts[:cut])
        if prefix in mapping:
            return ROOT.joinpath(mapping[prefix], *parts[cut:])
    raise AssertionError(f"{package} is not below a mapped package")


def _subpackages() -> set[str]:
    """Every folder with Python files under the four source folders, as a package's name."""
    roots = {folder: package for package, folder in SETUPTOOLS["package-dir"].items()}
    found = set()
    for top in SOURCES:
        for file in (ROOT / top).rglob("*.py"):
            parts = file.relative_to(ROOT / top).parent.parts
            if top == "reason" and parts and (ROOT / top / parts[0]).is_symlink():
                continue
            found.add(".".join((roots[top], *parts)))
    return found


def test_the_package_list_names_every_folder() -> None:
    assert set(SETUPTOOLS["packages"]) == _subpackages()


def test_every_package_has_an_init() -> None:
    assert [name for name in SETUPTOOLS["packages"] if not (_folder(name) / "__init__.py").exists()] == []


@pytest.mark.parametrize("name", ["search", "training", "evals"])
def test_the_links_and_the_mapping_agree(name: str) -> None:
    link = ROOT / "reason" / name
    assert link.is_symlink()
    assert os.readlink(link) == f"../{name}"
    assert SETUPTOOLS["package-dir"][f"reason.{name}"] == name


def test_constraints_pin_every_requirement() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {_name(line.partition("==")[0]) for line in lines if not line.startswith("#")}
    assert all("==" in line for line in lines if not line.startswith("#"))
    project = PYPROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    names = {_name(requirement) for requirement in wanted} - {"reason-toolkit"}
    assert names - pinned == set()
    assert "torch==2.13.0" in lines


def _name(requirement: str) -> str:
    for sign in "[<>=!~; ":
        requirement = requirement.partition(sign)[0]
    return requirement.lower().replace("_", "-")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The built wheel, installed into a folder of its own; built from a copy, so the checkout stays clean."""
    work = tmp_path_factory.mktemp("wheel")
    copy = work / "source"
    copy.mkdir()
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    _run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(work / "dist")], copy)
    (wheel,) = (work / "dist").glob("*.whl")
    folder = work / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    _run([*pip, "--disable-pip-version-check", "--target", str(folder), str(wheel)], work)
    return folder


def _run(command: list[str], folder: pathlib.Path, site: pathlib.Path | None = None) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    if site is not None:
        environment["PYTHONPATH"] = str(site)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_installs_reason_alone(site: pathlib.Path) -> None:
    names = sorted(path.name for path in site.iterdir())
    assert [name for name in names if not name.endswith(".dist-info")] == ["bin", "reason"]
    assert (site / "bin" / "reason").exists()
    assert not list(site.rglob("test_*.py"))


def test_the_wheel_holds_every_source_file(site: pathlib.Path) -> None:
    for package in SETUPTOOLS["packages"]:
        folder = site.joinpath(*package.split("."))
        wanted = {file.name for file in _folder(package).glob("*.py")}
        assert {file.name for file in folder.glob("*.py")} == wanted, package


def test_the_wheel_holds_the_package_data(site: pathlib.Path) -> None:
    models = ROOT / "reason" / "models"
    wanted = {str(file.relative_to(ROOT)) for file in models.rglob("*") if file.suffix in PACKAGE_DATA} | {
        "reason/py.typed"
    }
    held = {str(file.relative_to(site)) for file in (site / "reason").rglob("*") if file.suffix in PACKAGE_DATA}
    assert held == wanted
    assert list((site / "reason" / "models").glob("*/model.safetensors"))


def test_the_wheel_holds_the_page(site: pathlib.Path) -> None:
    wanted = {file.name for file in (ROOT / "reason" / "view" / "page").iterdir()}
    assert {file.name for file in (site / "reason" / "view" / "page").iterdir()} == wanted


def test_the_wheel_is_licensed(site: pathlib.Path) -> None:
    (licence,) = site.glob("*.dist-info/licenses/LICENSE")
    assert "Apache License" in licence.read_text("utf-8")


IMPORT_ALL = """
import importlib, pkgutil, sys, reason
assert reason.__file__.startswith(sys.argv[1]), reason.__file__
names = [item.name for item in pkgutil.walk_packages(reason.__path__, "reason.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def test_the_wheel_imports_from_another_directory(site: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert int(_run([sys.executable, "-c", IMPORT_ALL, str(site)], tmp_path, site)) > 30


def test_the_base_import_needs_no_torch(site: pathlib.Path, tmp_path: pathlib.Path) -> None:
    code = "import sys, reason, reason.cli; print(sorted({'torch', 'transformers', 'matplotlib'} & set(sys.modules)))"
    assert _run([sys.executable, "-c", code], tmp_path, site).strip() == "[]"


def test_the_wheel_solves_from_another_directory(site: pathlib.Path, tmp_path: pathlib.Path) -> None:
    question = "Ada has 4 boxes with 12 pens in each. Then Ada buys 6 more. How many pens does Ada have now?"
    printed = _run([sys.executable, "-m", "reason.cli", "solve", question, "--n", "4"], tmp_path, site)
    assert "Answer" in printed
    assert "tokens generated" in printed
