"""`python database_uri.py`: $DATABASE, such as postgresql+psycopg://mlflow@db:5432/mlflow, with $DATABASE_PASSWORD put in, whatever it holds."""

import os
from urllib.parse import quote, urlsplit


def main() -> None:
    """Print the URI."""
    parts = urlsplit(os.environ["DATABASE"])
    user, _, host = parts.netloc.rpartition("@")
    password = quote(os.environ["DATABASE_PASSWORD"], safe="")
    print(parts._replace(netloc=f"{user}:{password}@{host}").geturl())


if __name__ == "__main__":
    main()
