"""Start-up: what a command needs before its first answer, or before its first step, beside a bare script that does the same.

CPU seconds of the processes and those that they start: other work on the machine lengthens these less than it does the clock.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from i2m2_med.pipelines.prepare import main as prepare

from i2m2_med.simulate.mimic3.write import simulate
from tests.benchmarks.figures import Figures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROUNDS = 2
SPENT = """
import os, resource, sys
def spent():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print("CPU", sum(one.ru_utime + one.ru_stime for one in used), flush=True)
"""
FIRST_STEP = f"""{SPENT}
from torch.optim.optimizer import register_optimizer_step_post_hook
def first_step(*_):
    spent()
    os._exit(0)
register_optimizer_step_post_hook(first_step)
"""
OURS = """
from i2m2_med.cli import main
main(sys.argv[1:])
"""
BARE = """
from pathlib import Path
import mlflow, numpy as np, pandas as pd, torch
import monai
from monai.engines.trainer import SupervisedTrainer
from torch.utils.data import DataLoader
prepared, work = Path(sys.argv[1]), Path(sys.argv[2])
records = pd.read_parquet(prepared / "records.parquet")
label = next(name for name in records if name.startswith("label_"))
target = torch.tensor(records[label].to_numpy()).long()
static, series = (torch.from_numpy(np.load(prepared / f"{name}.npy")).float().nan_to_num() for name in ("static", "series"))
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.static = torch.nn.Sequential(torch.nn.Linear(static.shape[1], 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))
        self.series = torch.nn.GRU(series.shape[2], 30, batch_first=True)
        self.head = torch.nn.Linear(30, 2)
    def forward(self, still, moving):
        return (self.static(still).log_softmax(-1) + self.head(self.series(moving)[0][:, -1]).log_softmax(-1)).log_softmax(-1)
mlflow.set_tracking_uri(f"sqlite:///{work}/bare.db")
mlflow.start_run()
mlflow.log_params({"epochs": 1, "batch": 40})
net = Net()
rows = DataLoader(list(zip(static, series, target.clamp_min(0))), batch_size=40, shuffle=True)
SupervisedTrainer(
    device="cpu", max_epochs=1, train_data_loader=rows, network=net, loss_function=torch.nn.NLLLoss(),
    optimizer=torch.optim.RMSprop(net.parameters(), lr=1e-3), decollate=False,
    prepare_batch=lambda batch, *_, **__: ((batch[0], batch[1]), batch[2]), inferer=lambda given, network: network(*given),
).run()
"""


def cpu_seconds(code: str, work: Path, *arguments: str) -> float:
    """What a script in a fresh process says that it used."""
    call = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    done = subprocess.run(call, cwd=work, capture_output=True, text=True)  # a broken config ends with 1
    told = [float(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("CPU ")]
    assert told, done.stderr
    return told[-1]


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """Prepared tables of simulated patients, and how their config is named; the store is there already."""
    from i2m2_med.engine.tracking.store import ensure_store

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("I2M2_WORK", str(tmp_path / "work"))
    simulate(tmp_path / "tables", patients=150, seed=3)
    changes = ("source.root=tables",)
    made = prepare("mimic3_demo", set_=changes)
    ensure_store(tmp_path / "work", None)
    ensure_store(tmp_path, f"sqlite:///{tmp_path / 'bare.db'}")
    return Path(made["manifest"]).parent, ["mimic3_demo", *(word for one in changes for word in ("-s", one))]


def test_first_step_beside_a_bare_script(figures: Figures, prepared: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, config = prepared
    figures.beside(
        "first_step",
        "from the command `train` to its first step",
        lambda: cpu_seconds(FIRST_STEP + OURS, tmp_path, "train", *config),
        "a bare script on torch, MONAI and MLflow",
        lambda: cpu_seconds(FIRST_STEP + BARE, tmp_path, str(folder), str(tmp_path)),
        repeats=ROUNDS,
        at_most=1.2,
    )


QUICK = {
    "help": ["--help"],
    "runs": ["runs"],
    "list": ["check", "--list"],
    "broken_settings": ["check", "knee_demo", "-s", "training.epohs=3"],
    "no_such_folder": ["check", "knee_demo", "-s", "source.root=nowhere"],
}
CONFIGS = ("knee_i2m2", "mimic3_demo", "mimic3_mortality", "avmnist", "nlvr_demo", "vqa_vs_demo")
MISTAKES = (["-s", "source.root=nowhere"], ["-s", "source.root=.", "-s", "training.epohs=3"])


def test_quick_answers(figures: Figures, tmp_path: Path) -> None:
    """Verbs, and rungs of `check`, that need neither torch nor MONAI: beside what the import of the two would have cost them."""
    imports: list[float] = []
    answers: dict[str, list[float]] = {name: [] for name in QUICK}
    for _ in range(1 if figures.once else ROUNDS):
        imports.append(cpu_seconds(f"{SPENT}\nimport torch, monai\nspent()", tmp_path))
        for name, arguments in QUICK.items():
            answers[name].append(answered(tmp_path, arguments))
    for name, arguments in QUICK.items():
        what = f"`i2m2 {' '.join(arguments)}`"
        figures.add(name, what, answers[name], "importing torch and MONAI", imports, "CPU s")


def test_what_is_wrong_is_said_at_once(figures: Figures, tmp_path: Path) -> None:
    """The first rungs of `check`, over configs of every track."""
    asked = [["check", name, *mistake] for name in CONFIGS for mistake in MISTAKES]
    slowest = max(answered(tmp_path, arguments) for arguments in asked)
    what = f"`i2m2 check`, the slowest of {len(CONFIGS)} configs with a broken setting or without their data"
    figures.add("wrong", what, [slowest], "two seconds", [2.0], "CPU s", 1.0)


def answered(work: Path, arguments: list[str]) -> float:
    """CPU seconds from a command to its end."""
    return cpu_seconds(f"{SPENT}\nimport atexit\natexit.register(spent)\n{OURS}", work, *arguments)
