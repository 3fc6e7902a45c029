#!/bin/sh
# sh docker/backup.sh FOLDER: the database and the artifacts as two files in FOLDER, which must not hold them yet.
set -eu
umask 077
compose="docker compose --file $(dirname "$0")/compose.yaml"
mkdir -p "$1"
[ ! -e "$1/database.dump" ] || { echo "$1 holds a backup already; name a new folder" >&2; exit 1; }
$compose exec -T db pg_dump --username=mlflow --dbname=mlflow --format=custom > "$1/database.part"
$compose exec -T mlflow tar --create --directory /artifacts . > "$1/artifacts.part"
mv "$1/artifacts.part" "$1/artifacts.tar" # names of a whole backup: one that a full disk or a lost connection ended has none
mv "$1/database.part" "$1/database.dump"
