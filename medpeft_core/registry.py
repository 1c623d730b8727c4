"""A registry maps a name to a spec: all that must be known about one thing that can be chosen."""

import difflib
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from medpeft_core.errors import UnknownNameError


class Named(Protocol):
    """Anything with a unique name."""

    @property
    def name(self) -> str: ...


Spec = TypeVar("Spec", bound=Named)


class Registry(Generic[Spec]):
    """Specs of one kind, looked up by their unique name; `phantom-shortcut` finds `phantom_shortcut`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._specs: dict[str, Spec] = {}

    def add(self, spec: Spec) -> Spec:
        """Register a spec and give it back; a second one of the same name is a bug."""
        if spec.name in self._specs:
            raise ValueError(f"The {self.kind} {spec.name!r} is registered twice.")
        self._specs[spec.name] = spec
        return spec

    def names(self) -> list[str]:
        """All names in the order of registration, which is the order of the lists that people choose from."""
        return list(self._specs)

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    def __iter__(self) -> Iterator[Spec]:
        return iter(self._specs.values())

    def __len__(self) -> int:
        return len(self._specs)

    def __getitem__(self, name: str) -> Spec:
        for spelling in (name, name.replace("-", "_")):
            if spelling in self._specs:
                return self._specs[spelling]
        near = difflib.get_close_matches(name, self._specs, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownNameError(f"There is no {self.kind} {name!r}.{hint} Choose: {', '.join(sorted(self._specs))}.")
