"""`python docker/add_user.py NAME`: let the administrator add a user to the MLflow server.

The server is $MLFLOW_TRACKING_URI; the administrator $MLFLOW_TRACKING_USERNAME and …_PASSWORD; the new password is asked for,
or read from standard input. A new user sees no experiment until one is his or is given to him.
"""

import getpass
import os
import sys

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


def main(name: str) -> None:
    """Add the user, or say why not."""
    from mlflow.server import get_app_client

    password = getpass.getpass("password: ") if sys.stdin.isatty() else sys.stdin.readline().strip()
    get_app_client("basic-auth", os.environ["MLFLOW_TRACKING_URI"]).create_user(name, password)
    print(f"{name} may log in")


if __name__ == "__main__":
    main(sys.argv[1])
