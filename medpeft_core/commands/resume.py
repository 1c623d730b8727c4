"""Go on with a run of either kind."""

from medpeft_core.commands.follow import work_on
from medpeft_core.commands.pretrain import WORDS as PRETRAIN_WORDS
from medpeft_core.commands.train import WORDS as TRAIN_WORDS
from medpeft_core.errors import RunError
from medpeft_core.runs.states import FINISHED
from medpeft_core.runs.store import RunStore


def resume(run_id: str, *, as_json: bool) -> int:
    """Go on with a run from its last checkpoint.

    Raises:
        RunError: there is no such run, or it is finished or at work.
    """
    store = RunStore.open_default()
    run = store.settle(store.load(run_id))
    if run.status == FINISHED:
        raise RunError(
            f"The run {run.run_id} is finished; there is nothing to resume. Start a new one with "
            f"`{'pretrain' if run.is_pretraining else 'train'}`."
        )
    if not run.state().is_finished and run.state().pid is not None:
        raise RunError(f"The run {run.run_id} is {run.status}. Stop it first: python -m medpeft_core stop {run.run_id}")
    store.index.dequeue(run.run_id)
    words = PRETRAIN_WORDS if run.is_pretraining else TRAIN_WORDS
    return work_on(store, run, words=words, as_json=as_json)
