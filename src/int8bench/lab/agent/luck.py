"""What a suite draws by chance: the same on both sides of a pair of launches, something else in the next pair.

Python's, NumPy's and torch's global generators are seeded; generators that code makes for itself are its own.
"""

import importlib.util
import random
import sys
from collections.abc import Callable, Mapping
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

NUMPY_SEEDS = 2**32  # what numpy.random.seed takes


def _seed_numpy(seed: int) -> None:
    sys.modules["numpy.random"].seed(seed % NUMPY_SEEDS)


def _seed_torch(seed: int) -> None:
    sys.modules["torch"].manual_seed(seed)


# Of modules that are loaded: how their generator is seeded.
SEEDED: Mapping[str, Callable[[int], None]] = {"numpy.random": _seed_numpy, "torch": _seed_torch}


class Luck:
    """The seed of a pair of launches."""

    def __init__(self, seed: int) -> None:
        """Keep the seed, with nothing drawn yet."""
        self.seed = seed

    def hold(self) -> None:
        """Seed what is loaded, and from now on all that is imported, when it is: a suite may draw at import."""
        self.draw()
        sys.meta_path.insert(0, Seeding(self))

    def draw(self) -> None:
        """Seed every generator that is loaded; what is drawn next is the same on both sides."""
        random.seed(self.seed)
        for name in SEEDED:
            self.draw_of(name)

    def draw_of(self, name: str) -> None:
        """Seed the generator of one module, where it is wholly loaded."""
        module = sys.modules.get(name)
        if module is not None and not getattr(module.__spec__, "_initializing", False):
            SEEDED[name](self.seed)


class Seeding:
    """Finds modules as they would be found, and seeds their generator once they are loaded."""

    def __init__(self, luck: Luck) -> None:
        """Keep a pair's luck."""
        self._luck = luck
        self._looking = False

    def find_spec(self, fullname: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Return the module's own place, with a loader that seeds in the end; None for all other modules."""
        if fullname not in SEEDED or self._looking:
            return None
        self._looking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._looking = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._luck)
        return spec


class _Loader(Loader):
    """A module's own loader, and a seed after it."""

    def __init__(self, own: Any, luck: Luck) -> None:  # noqa: ANN401  a loader of whatever kind
        self._own, self._luck = own, luck

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._own.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._own  # who looks at it later finds what is always there
        self._own.exec_module(module)
        SEEDED[module.__name__](self._luck.seed)
