"""The protocol of the finding: everything that decides its runs, frozen in one committed file before they were made.

Settings were chosen on development data (another generator seed) and a development run seed; the runs that are
reported have data and seeds of their own, which were opened once.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import medpeft_core
from medpeft_core.backbones.demo import DEMO_BACKBONE
from medpeft_core.config import (
    AugmentConfig,
    BackboneConfig,
    DataConfig,
    EvaluationConfig,
    MethodConfig,
    OptimConfig,
    RunConfig,
    TrainConfig,
)
from medpeft_core.errors import ConfigError
from medpeft_core.paths import read_json
from medpeft_core.resolve import resolve_config
from medpeft_core.sections import build_part

PROTOCOL_PATH = Path(medpeft_core.__file__).parents[1] / "assets" / "lessons" / "finding" / "protocol.json"
FULL, LORA = "full", "lora"  # the two that the question is about
TIE = 0.005  # of the mean val AUROC, whose standard error is about 0.012 on 400 images

Role = Literal["reported", "development"]


class Cell(NamedTuple):
    """One run of the finding: a method on a label fraction, from one seed.

    `lr` is None for the rate that the protocol chose; the search has others.
    """

    method: str
    fraction: float
    seed: int
    lr: float | None = None

    @property
    def key(self) -> str:
        """Such as "lora-0.01-3"; with the rate where it is not the chosen one."""
        name = f"{self.method}-{self.fraction:g}-{self.seed}"
        return name if self.lr is None else f"{name}-{self.lr:g}"


@dataclass(frozen=True, kw_only=True)
class ProtocolMethod:
    """One of the methods that are compared.

    Attributes:
        name: unique in the protocol.
        title: for people.
        method: the lab's method with its knobs.
        weights: base weights: "demo" or "random".
        cached_features: as `train.cached_features`.
        grid: the learning rates that were tried, the same number for each method, ascending.
        lr: fraction (as text) to the rate that was best on development val; empty before the search.
    """

    name: str
    title: str
    method: MethodConfig
    weights: str
    cached_features: bool
    grid: tuple[float, ...]
    lr: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class ProtocolFraction:
    """One share of the labels.

    Attributes:
        fraction: of the training patients, above 0 to 1.
        seeds: of the reported runs; each draws its own patients, order, head, adapters and random weights.
        epochs, batch_size, eval_every: as in `TrainConfig`, the same for every method.
    """

    fraction: float
    seeds: tuple[int, ...]
    epochs: int
    batch_size: int
    eval_every: int


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A whole protocol, as `load_protocol` reads it.

    Attributes:
        identity: 12 hexadecimal digits that stand for all that decides the reported runs.
        data, development_data: the sets of the reported runs and of the search.
        development_seed: the run seed of the search.
        methods: in the order in which they are shown.
        fractions: ascending.
        short_methods, short_fractions, short_seeds: the part that `--short` makes.
        settings: sections of every run beside what a cell decides: `augment`, `optim`, `train`, `evaluation`.
        search: what the search found: rows of `method, fraction, lr, val_auroc`.
        source: the file's content.
        is_shipped: whether it is the lab's own.
    """

    identity: str
    data: DataConfig
    development_data: DataConfig
    development_seed: int
    methods: dict[str, ProtocolMethod]
    fractions: tuple[ProtocolFraction, ...]
    short_methods: tuple[str, ...]
    short_fractions: tuple[float, ...]
    short_seeds: int
    settings: dict[str, Any]
    search: tuple[dict[str, Any], ...]
    source: dict[str, Any]
    is_shipped: bool

    def list_cells(self, *, is_short: bool) -> list[Cell]:
        """The reported runs in the order in which they start: few labels first, and seed by seed.

        So a result grows evenly, and neighbours, which share the CPU, take about the same time.
        """
        cells = []
        for part in self.fractions:
            if is_short and part.fraction not in self.short_fractions:
                continue
            names = [name for name in self.methods if not is_short or name in self.short_methods]
            seeds = part.seeds[: self.short_seeds] if is_short else part.seeds
            cells += [Cell(name, part.fraction, seed) for seed in seeds for name in names]
        return cells

    def list_search_cells(self) -> list[Cell]:
        """The development runs: every method, fraction and rate of its grid, from one seed."""
        return [
            Cell(method.name, part.fraction, self.development_seed, lr)
            for part in self.fractions
            for method in self.methods.values()
            for lr in method.grid
        ]

    def build_config(self, cell: Cell, *, role: Role = "reported") -> RunConfig:
        """The resolved config of a cell.

        Raises:
            ConfigError: the protocol names no learning rate for it.
        """
        method = self.methods[cell.method]
        part = next(item for item in self.fractions if item.fraction == cell.fraction)
        lr = cell.lr if cell.lr is not None else method.lr.get(f"{cell.fraction:g}")
        if lr is None:
            raise ConfigError(
                f"The protocol names no learning rate for {cell.method} at {cell.fraction:.0%} of the labels. Run "
                "`python -m medpeft_core finding --search` and write its rates into the protocol."
            )
        data = self.data if role == "reported" else self.development_data
        train = {
            **self.settings.get("train", {}),
            "epochs": part.epochs,
            "batch_size": part.batch_size,
            "eval_every": part.eval_every,
            "seed": cell.seed,
            "cached_features": method.cached_features,
        }
        return resolve_config(
            RunConfig(
                data=replace(data, fraction=part.fraction, fraction_seed=cell.seed),
                backbone=BackboneConfig(name=DEMO_BACKBONE, weights=method.weights),
                method=method.method,
                optim=build_part(OptimConfig, {**self.settings.get("optim", {}), "lr": lr}, section="optim"),
                train=build_part(TrainConfig, train, section="train"),
                augment=build_part(AugmentConfig, self.settings.get("augment", {}), section="augment"),
                evaluation=build_part(EvaluationConfig, self.settings.get("evaluation", {}), section="evaluation"),
            )
        )


def load_protocol(path: Path | None = None) -> Protocol:
    """Read a protocol.

    Args:
        path: a JSON file; None for the one that ships with the lab.

    Raises:
        ConfigError: the file is missing or damaged, or a setting in it is wrong; says which.
    """
    path = path or PROTOCOL_PATH
    try:
        values = read_json(path)
        return _build(values, is_shipped=path == PROTOCOL_PATH)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"The protocol {path} cannot be used: {type(error).__name__}: {error}. Compare it with the lab's own, "
            f"{PROTOCOL_PATH}."
        ) from error


def find_edges(search: list[dict[str, Any]], protocol: Protocol) -> list[str]:
    """Where the best rate lies at an end of its grid, so that a wider grid might tell another story; sentences."""
    edges = []
    for row in choose_rates(search):
        grid = protocol.methods[row["method"]].grid
        if row["lr"] in (grid[0], grid[-1]):
            end = "lowest" if row["lr"] == grid[0] else "highest"
            edges.append(
                f"{row['method']} at {row['fraction']:.0%} is best at {row['lr']:g}, the {end} rate of its grid. Widen "
                "the grids of all methods by the same number of rates and search again."
            )
    return edges


def choose_rates(search: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The row whose rate is taken, for each method and fraction: that of the best val AUROC.

    Rates within `TIE` of the best count as equal, since val cannot tell them apart; of these the one nearest to the
    middle of the grid is taken, then the better one. So a method that no rate makes learn is not said to be best at an
    end of its grid.
    """
    groups: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for row in sorted(search, key=lambda item: item["lr"]):
        if row["val_auroc"] is not None:
            groups.setdefault((row["method"], row["fraction"]), []).append(row)
    return [_choose(rows) for rows in groups.values()]


def _choose(rows: list[dict[str, Any]]) -> dict[str, Any]:
    best, middle = max(row["val_auroc"] for row in rows), (len(rows) - 1) / 2
    tied = [(abs(place - middle), -row["val_auroc"], place) for place, row in enumerate(rows)
            if row["val_auroc"] >= best - TIE]  # fmt: skip
    return rows[min(tied)[2]]


def _build(values: dict[str, Any], *, is_shipped: bool) -> Protocol:
    methods = {
        name: ProtocolMethod(
            name=name,
            title=str(part["title"]),
            method=build_part(MethodConfig, part["method"], section="method"),
            weights=str(part["weights"]),
            cached_features=bool(part.get("cached_features", False)),
            grid=tuple(float(lr) for lr in part["grid"]),
            lr={str(key): float(lr) for key, lr in part.get("lr", {}).items()},
        )
        for name, part in values["methods"].items()
    }
    fractions = tuple(
        ProtocolFraction(
            fraction=float(part["fraction"]),
            seeds=tuple(int(seed) for seed in part["seeds"]),
            epochs=int(part["epochs"]),
            batch_size=int(part["batch_size"]),
            eval_every=int(part["eval_every"]),
        )
        for part in values["fractions"]
    )
    short = values["short"]
    return Protocol(
        identity=_identify(values),
        data=build_part(DataConfig, values["data"], section="data"),
        development_data=build_part(DataConfig, values["development"]["data"], section="data"),
        development_seed=int(values["development"]["seed"]),
        methods=methods,
        fractions=tuple(sorted(fractions, key=lambda item: item.fraction)),
        short_methods=tuple(short["methods"]),
        short_fractions=tuple(float(fraction) for fraction in short["fractions"]),
        short_seeds=int(short["num_seeds"]),
        settings=values.get("settings", {}),
        search=tuple(values["development"].get("search", ())),
        source=values,
        is_shipped=is_shipped,
    )


def _identify(values: dict[str, Any]) -> str:
    """Of all that decides the reported runs; titles, notes and the search do not."""
    methods = {
        name: {key: value for key, value in part.items() if key not in ("title", "grid")}
        for name, part in values["methods"].items()
    }
    decisive = {"data": values["data"], "fractions": values["fractions"], "methods": methods,
                "settings": values.get("settings", {})}  # fmt: skip
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]
