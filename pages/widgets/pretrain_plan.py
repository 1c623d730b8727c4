"""What the form of a pre-training amounts to now: its config or the mistake in it, and what is known of it."""

from dataclasses import dataclass, replace

from medpeft_core.config import DataConfig
from medpeft_core.datasets.fractions import select_fraction
from medpeft_core.datasets.views import DataView
from medpeft_core.errors import MedPeftError
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.pretrain_resolve import resolve_pretraining
from pages.widgets.data_state import find_known
from pages.widgets.pretrain_draft import build_config, get_draft
from pages.widgets.train_answers import Answer, ask

ALL_ANSWERED = 2


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Images of the splits of a prepared set, train within the fraction; patients are None where it names none."""

    num_train: int
    num_val: int
    num_test: int
    num_patients: int | None


@dataclass(frozen=True, kw_only=True)
class ModelAnswers:
    """What the compute process says about the model of the form: its sizes or what is wrong, then its pace."""

    check: Answer
    pace: Answer

    @property
    def stage(self) -> int:
        """0 nothing is known, 1 the sizes, 2 all that will be."""
        if self.check.is_pending:
            return 0
        return 1 if self.check.value is not None and self.pace.is_pending else ALL_ANSWERED


@dataclass(frozen=True, kw_only=True)
class PretrainPlan:
    """The form, evaluated.

    Attributes:
        config: resolved; None where a setting is wrong.
        problem: the mistake in the form, in the data's folder, or in the model.
        counts: None while the set is not prepared.
        answers: None where a setting is wrong.
    """

    config: PretrainConfig | None = None
    problem: str | None = None
    counts: Counts | None = None
    answers: ModelAnswers | None = None

    @property
    def time_s(self) -> float | None:
        """How long it takes, or None while that is not known."""
        if self.config is None or self.counts is None or self.answers is None or self.answers.pace.value is None:
            return None
        return self.counts.num_train * self.config.train.epochs / float(self.answers.pace.value["images_per_s"])

    @property
    def can_start(self) -> bool:
        """Nothing is known to be wrong; what is not known yet is checked before it starts."""
        return self.config is not None and self.problem is None


def make_plan() -> PretrainPlan:
    """Read the form; asks the compute process without waiting for it."""
    try:
        config = resolve_pretraining(build_config(get_draft()))
    except MedPeftError as error:
        return PretrainPlan(problem=str(error))
    answers = ask_model(config)
    try:
        view = find_known(config.data)
    except MedPeftError as error:  # the folder is not this data set
        return PretrainPlan(config=config, problem=str(error), answers=answers)
    counts = None if view is None else count_images(view, config.data)
    return PretrainPlan(config=config, problem=answers.check.problem, counts=counts, answers=answers)


def ask_model(config: PretrainConfig) -> ModelAnswers:
    """What is known of the model; neither the data nor the length of the training matter to it."""
    data = DataConfig(cache_size=config.data.cache_size)
    values = replace(config, data=data, train=replace(config.train, epochs=1, seed=0)).to_dict()
    check = ask("check_pretraining", values)
    return ModelAnswers(check=check, pace=ask("pace_pretraining", values) if check.value is not None else Answer())


def count_images(view: DataView, data: DataConfig) -> Counts:
    """What a prepared set holds."""
    splits = view.manifest.table["split"].value_counts()
    train = view.manifest.split("train")
    if data.fraction < 1:
        train = train.select(select_fraction(train, data.fraction, seed=data.fraction_seed))
    return Counts(
        num_train=len(train),
        num_val=int(splits.get("val", 0)),
        num_test=int(splits.get("test", 0)),
        num_patients=int(train.table["patient_id"].nunique()) or None,
    )
