#!/bin/sh
# sh docker/restore.sh FOLDER: put back what docker/backup.sh wrote, in place of what the services hold now.
set -eu
compose="docker compose --file $(dirname "$0")/compose.yaml"
[ -s "$1/database.dump" ] && [ -s "$1/artifacts.tar" ] || { echo "$1 holds no backup of docker/backup.sh" >&2; exit 1; }
tar --list --file "$1/artifacts.tar" > /dev/null || { echo "$1/artifacts.tar is damaged; nothing was changed" >&2; exit 1; }
$compose exec -T db pg_restore --list < "$1/database.dump" > /dev/null || { echo "$1/database.dump is damaged; nothing was changed" >&2; exit 1; }
$compose exec -T mlflow sh -c 'find /artifacts -mindepth 1 -delete && tar --extract --directory /artifacts' < "$1/artifacts.tar"
$compose exec -T db pg_restore --username=mlflow --dbname=mlflow --clean --if-exists --single-transaction < "$1/database.dump"
