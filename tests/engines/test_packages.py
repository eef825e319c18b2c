"""An engine's packages: all there, or one sentence of what is wrong and what to type."""

from importlib import metadata
from pathlib import Path

import pytest

from int8bench.engines import packages

ASKED = ["numpy>=1.26", 'zlibx>=2; extra == "theirs"', 'halfway>=1,<3; extra == "theirs"', 'other>=9; extra == "more"']


@pytest.fixture(autouse=True)
def _asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: ASKED)


def installed(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    """Stands for the distributions that are there."""

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "version", version)


@pytest.mark.parametrize(
    ("versions", "modules", "sentence"),
    [
        ({"zlibx": "2.1", "halfway": "1.0"}, ("json",), None),
        ({"zlibx": "2.1", "halfway": "2.0.dev3"}, (), None),
        ({"halfway": "1.0"}, (), "theirs: package zlibx is not installed; type pip install 'int8bench[theirs]'"),
        (
            {"zlibx": "1.9", "halfway": "3.0"},
            (),
            (
                "theirs: zlibx 1.9 is installed, expected >=2, halfway 3.0 is installed, expected <3,>=1; "
                "type pip install 'int8bench[theirs]'"
            ),
        ),
        (
            {"zlibx": "2.1", "halfway": "1.0"},
            ("json", "json.nowhere", "no_such_module.inside"),
            (
                "theirs: module json.nowhere is missing from its package, module no_such_module.inside is missing "
                "from its package; type pip install 'int8bench[theirs]'"
            ),
        ),
    ],
    ids=["there", "a pre-release will do", "not installed", "wrong versions", "half installed"],
)
def test_what_is_wrong_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], modules: tuple[str, ...], sentence: str | None
) -> None:
    """Missing, too old, too new, or there by name alone; only of the extra that is asked for."""
    installed(monkeypatch, **versions)
    assert packages.missing("theirs", modules) == sentence


def test_a_package_that_cannot_be_loaded_says_what_to_type() -> None:
    """Its own first line, and the command that puts it right."""
    error = packages.broken("theirs", ImportError("libx.so.1: cannot open shared object file\nmore"))
    assert str(error) == (
        "theirs: its packages are installed but cannot be loaded (libx.so.1: cannot open shared object file); "
        "type pip install 'int8bench[theirs]' --force-reinstall"
    )


def test_every_engine_of_the_project_has_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extras that sentences name are those of pyproject.toml."""
    monkeypatch.undo()
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    for extra in ("onnxruntime", "openvino", "inductor", "executorch", "litert", "tflm", "tensorrt", "all"):
        assert f"\n{extra} = [" in text
        assert list(packages._requirements(extra)) or extra == "all"
