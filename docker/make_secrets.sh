#!/bin/sh
# sh docker/make_secrets.sh: make the passwords of compose.yaml as files, once; a file that is there stays as it is.
set -eu
folder=$(dirname "$0")/secrets
umask 077
mkdir -p "$folder"
chmod 711 "$folder" # containers' users pass through; without a file's name there is nothing to find
for name in database_password admin_password form_key worker_password; do
    [ -e "$folder/$name" ] || od -An -tx1 -N24 /dev/urandom | tr -d ' \n' > "$folder/$name"
    chmod 444 "$folder/$name" # compose binds a secret's file as it is, and containers are not root
done
