"""What stands in the tabs of Monitor: curves, settings, data and log of a run."""

import json

from monitor_visits import read_metrics, read_table, read_texts


def read_curves(app):
    """Names of the series in the chart of val AUROC."""
    spec = json.loads(app.get("vega_lite_chart")[0].proto.spec)
    colours = next(layer["encoding"]["color"] for layer in spec["layer"] if "color" in layer.get("encoding", {}))
    return colours["scale"]["domain"]


def test_labels_can_be_hidden_in_the_curves(monitor, home, make_run):
    make_run(home, status="running", epochs_done=2, labels=("Effusion", "Nodule"))
    app = monitor()
    assert read_curves(app) == ["mean of the labels", "Effusion", "Nodule"]
    app.toggle(key="monitor_each_label").set_value(False).run()
    assert read_curves(app) == ["mean of the labels"]


def test_settings_show_what_was_chosen_and_the_command(monitor, home, make_run):
    make_run(home, epochs_done=1, settings={"method": {"knobs": {"rank": 4}}, "optim": {"weight_decay": 0.1}})
    app = monitor(tab="Settings")
    chosen = read_table(app, "Default").set_index("Setting")
    assert list(chosen.loc["method.rank", ["Value", "Default"]]) == ["4", "8"]
    assert chosen.loc["optim.weight_decay", "Value"] == "0.1"
    assert "optim.lr" not in chosen.index
    assert "In how many directions each adapted layer may change" in chosen.loc["method.rank", "What it is"]
    assert any(item.value.startswith("python -m medpeft_core train --dataset phantom") for item in app.code)


def test_log_shows_events_and_the_last_200_lines(monitor, home, make_run):
    run = make_run(home, epochs_done=2)
    run.log_path.write_text("\n".join(f"line {number}" for number in range(1000)))
    text = read_texts(monitor(tab="Log"))
    assert "epoch 2, step 40: val AUROC" in text
    assert "line 999" in text
    assert "line 800" in text
    assert "line 799" not in text


def test_data_tab_counts_positives_and_repeats_warnings(monitor, home, make_run):
    warning = "Only 3 positives of *Nodule*."
    run = make_run(home, epochs_done=1, fraction=0.1, provenance={"warnings": [warning]})
    app = monitor(tab="Data")
    table = read_table(app, "Prevalence").set_index("Label")
    assert table.loc["Effusion", "Positive"] == run.provenance()["positives"]["Effusion"]["num_positive"]
    assert r":orange[:material/warning:] Only 3 positives of \*Nodule\*\." in read_texts(app)
    assert read_metrics(app)["Training patients"] == ("150", "10 % of the split")
