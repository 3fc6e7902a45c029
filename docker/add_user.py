"""`python docker/add_user.py NAME`: let the administrator add a user to the MLflow server.

The server is $MLFLOW_TRACKING_URI; the administrator $MLFLOW_TRACKING_USERNAME and …_PASSWORD; the new password is asked for,
or read from standard input, or from the file $NEW_PASSWORD_FILE; the administrator's may be in …_PASSWORD_FILE. A new user sees no experiment until one is his or is given to him.
"""

import getpass
import os
import sys
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


def main(name: str) -> None:
    """Add the user, or say why not."""
    from mlflow.exceptions import MlflowException
    from mlflow.server import get_app_client

    if admin := os.environ.get("MLFLOW_TRACKING_PASSWORD_FILE"):
        os.environ["MLFLOW_TRACKING_PASSWORD"] = Path(admin).read_text(encoding="utf-8").strip()
    client = get_app_client("basic-auth", os.environ["MLFLOW_TRACKING_URI"])
    try:
        client.create_user(name, new_password())
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    print(f"{name} may log in")


def new_password() -> str:
    """The password of the user to be made."""
    if file := os.environ.get("NEW_PASSWORD_FILE"):
        return Path(file).read_text(encoding="utf-8").strip()
    return getpass.getpass("password: ") if sys.stdin.isatty() else sys.stdin.readline().strip()


if __name__ == "__main__":
    main(sys.argv[1])
