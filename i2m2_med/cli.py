"""`i2m2 VERB …`: finds the verb, turns the user's errors into one line, and bugs into a traceback and a log.

Exit codes: 0 all done, 1 the user's input is wrong, 2 finished but some studies were refused, 3 a bug, 130 stopped (Ctrl-C, SIGTERM).
"""

import json
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from cyclopts import App, CycloptsError, Parameter

from i2m2_med import __version__
from i2m2_med.console import Terminal, complain, say
from i2m2_med.errors import UserError, causes
from i2m2_med.files import private, replace_file
from i2m2_med.object_store import elsewhere
from i2m2_med.signals import EXIT, STOPPED, end_now, stoppable
from i2m2_med.simulate import kinds as simulated_kinds

VERBS = {
    "demo": "The whole story on simulated data: simulate, prepare, train every paradigm, compare, report.",
    "doctor": "Report on this machine: packages, devices, disk, tracking store.",
    "init": "Write a commented config for your own table of studies.",
    "check": "Check a config without training: fast rungs first.",
    "plan": "What training will take on this machine: memory, time, disk; and what would take less.",
    "prepare": "Raw data → manifest, records and typed tables; resumable.",
    "tune": "Search settings by validation, the same number of trials for every paradigm.",
    "train": "Train one paradigm, one or more seeds.",
    "compare": "Train and compare all paradigms × seeds: paired statistics, one table, one figure.",
    "plan-sample": "How wide the report's intervals will be with so many test patients.",
    "diagnose": "Is the signal within the modalities, or between them?",
    "evaluate": "A run's model on any split, with shifts.",
    "report": "A run's HTML report and model card.",
    "register": "Give a verified run's model a name and an alias in the registry.",
    "score": "Batch-score study folders.",
    "export": "A run as a MONAI bundle.",
    "verify": "Run it again and prove the metrics.",
    "ui": "The MLflow page on the run's own store.",
    "runs": "List the runs in the terminal.",
    "show": "One run, or one comparison, as a card.",
    "diff": "Two runs beside each other: settings, data, code, paired metrics.",
    "predictions": "A run's predictions as CSV or Parquet, with the data dictionary.",
    "look": "A study as a model will see it, as a picture.",
    "reconstruct": "K-space → magnitude and phase NIfTI and a picture.",
    "import-published": "Weights of the published code → ours.",
    "compare-impk": "Hold an owner's im.pk against our own arrays, column by column.",
    "export-meds": "A MIMIC cohort as a MEDS data set.",
}


QUICK = {"doctor", "check", "runs"}
"""Verbs that answer at once; the others import torch, MONAI, MLflow or polars first, and say so where a person waits."""


def make_app() -> App:
    """The verbs, each imported only when it runs."""
    epilogue = (
        "`--json` with any verb: exactly one JSON object on standard output, all else on standard error. "
        "`--quiet`: results and errors only. `--install-completion`: your shell completes verbs and options."
    )
    app = App(
        "i2m2",
        help=__doc__.partition(":")[2].strip() if __doc__ else "",
        version=__version__,
        version_flags=["--version", "-V"],
        help_epilogue=epilogue,
        suppress_keyboard_interrupt=False,
        default_parameter=Parameter(validator=on_a_disk),
    )
    app.help = "I2M2 on MONAI: unimodal experts × a joint expert, trained, compared, diagnosed and scored."
    for verb, purpose in VERBS.items():
        app.command(f"i2m2_med.pipelines.{verb.replace('-', '_')}:main", name=verb, help=purpose)
    app.register_install_completion_command(add_to_startup=False)
    simulate = App(
        "simulate", help="Write a data set in its true format, with known dependencies. All of it is synthetic."
    )
    for kind, purpose in simulated_kinds().items():
        simulate.command(f"i2m2_med.simulate.{kind}:simulate", name=kind, help=purpose)
    app.command(simulate)
    return app


def on_a_disk(_: Any, value: Any) -> None:
    """Raise ValueError for an address of the network where a verb takes a path: no folder called `s3:` is made."""
    if isinstance(value, Path) and elsewhere(value):
        raise ValueError(f"'{value.parts[0]}' begins no path of a disk; name a file or folder on a disk")


def run(argv: Sequence[str] | None = None) -> None:
    """The console command: ends the process with its exit code."""
    code = main(list(sys.argv[1:] if argv is None else argv))
    if code == EXIT:
        end_now()
    sys.exit(code)


def main(arguments: list[str]) -> int:
    """Run one verb and return its exit code."""
    for stream in (sys.stdout, sys.stderr):  # a sign that the terminal's encoding lacks is written out, not an error
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    Terminal.quiet = "--quiet" in arguments
    as_json = "--json" in arguments
    place = sys.stderr if as_json else sys.stdout  # of tables and help too: standard output is for the one object
    with redirect_stdout(place):
        code, result = outcome([argument for argument in arguments if argument not in {"--json", "--quiet"}])
    if as_json:
        print(json.dumps(result, default=str, allow_nan=False))
    return code


def outcome(arguments: list[str]) -> tuple[int, dict[str, Any]]:
    """Run one verb; return its exit code and its one JSON object: {"error", "exit"} where it failed."""
    helps = {"--help", "-h"} & {*arguments}
    if arguments[:1] and arguments[0] in {*VERBS, "simulate"} - QUICK and not helps and sys.stderr.isatty():
        say(f"i2m2 {arguments[0]}: loading …")
    try:
        with private(), stoppable():
            result = call(arguments)
    except CycloptsError as error:  # cyclopts has printed it
        return 1, {"error": str(error), "exit": 1}
    except KeyboardInterrupt:
        complain(STOPPED)
        return EXIT, {"error": STOPPED, "exit": EXIT}
    except Exception as error:
        code, why = explain(error)
        return code, {"error": why, "exit": code}
    if arguments[:1] == ["simulate"] and not helps:
        after_simulation(arguments)
    result = result if isinstance(result, dict) else {}
    return int(result.get("exit", 0)), result


def after_simulation(arguments: list[str]) -> None:
    """Say where what was simulated lies, and which command reads it."""
    from i2m2_med.config.yaml_source import shipped

    kind, out = (*arguments, "", "")[1:3]
    config = next((name for name in (f"{kind}_demo", kind) if name in shipped()), "")
    command = f"compare {config} -s source.root={out}" if config else f"score {out} OUT --model RUN"
    if out and not out.startswith("-"):
        say(f"written to {out} (synthetic); next: i2m2 {command}")


def call(arguments: list[str]) -> Any:
    """Return the verb's result; a mistake on the command line is printed and raised."""
    app = make_app()
    if arguments[1:2] == ["merge"] and arguments[0] in {
        "score",
        "compare",
    }:  # verbs of two words, with a help of their own
        verb, *arguments = arguments
        app = App(f"i2m2 {verb}", default_parameter=Parameter(validator=on_a_disk))
        app.command(f"i2m2_med.pipelines.{verb}:merge_parts", name="merge")
    return app(arguments, exit_on_error=False, print_error=True, result_action="return_value")


def explain(error: Exception) -> tuple[int, str]:
    """Say the user's error in a line (exit code 1), or a bug with its traceback and log (3); return code and line."""
    from i2m2_med.disk_errors import plain_disk_error
    from i2m2_med.memory_limit import plain_memory_error
    from i2m2_med.workspace import workspace

    mistakes = (cause for cause in causes(error) if isinstance(cause, UserError))
    mistake = next(mistakes, None) or plain_memory_error(error) or plain_disk_error(error, workspace())
    if mistake:
        lines = "\n".join(f"{mistake.kind()}: {line}" for line in str(mistake).splitlines())
        complain(lines)
        return 1, lines
    text = "".join(traceback.format_exception(error))
    complain(text)
    why = f"This is a bug in i2m2, not in what you did. {keep(text, workspace() / 'logs')}"
    complain(why)
    return 3, why


def keep(text: str, logs: Path) -> str:
    """Write a bug's traceback into `logs` and return where it lies."""
    log = logs / f"bug-{datetime.now():%Y%m%d-%H%M%S}.txt"
    try:
        with private(), replace_file(log) as beside:
            head = f"i2m2 {__version__}, Python {sys.version}\n"
            beside.write_text(head + text, encoding="utf-8", errors="backslashreplace")
    except (UserError, OSError) as error:
        return f"The traceback could not be kept: {error}"
    return f"The traceback is kept in {log}"


def reference_page() -> str:
    """Return the command-line reference in Markdown: every verb with its options, from their docstrings."""
    head = "# Command line\n\nThis page is made by `make docs`.\n\n"
    return head + make_app().generate_docs(output_format="markdown", recursive=True).removeprefix("# i2m2\n\n")
