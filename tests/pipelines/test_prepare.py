"""`i2m2 prepare` of tables imports what it needs: what takes seconds to import is for training."""

import subprocess
import sys
from pathlib import Path

HEAVY = ("torch", "monai", "mlflow", "ignite", "sklearn", "pandas", "nibabel", "pydicom")


def test_preparing_tables_imports_neither_torch_nor_what_other_data_sets_need(tables: Path, work: Path) -> None:
    script = (
        "import sys; from i2m2_med.cli import main; "
        f"assert main(['prepare', 'mimic3_demo', '-s', 'source.root={tables}']) == 0; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert list((work / "prepared").glob("*/manifest.json"))
