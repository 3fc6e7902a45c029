#!/bin/sh
# sh docker/backup.sh FOLDER: the database and the artifacts as two files in FOLDER, which must not hold them yet.
set -eu
umask 077
compose="docker compose --file $(dirname "$0")/compose.yaml"
mkdir -p "$1"
[ ! -e "$1/database.dump" ] || { echo "$1 holds a backup already; name a new folder" >&2; exit 1; }
$compose exec -T db pg_dump --username=mlflow --dbname=mlflow --format=custom > "$1/database.dump"
$compose exec -T mlflow tar --create --directory /artifacts . > "$1/artifacts.tar"
