#!/bin/sh
# with-secrets.sh COMMAND…: for every NAME_FILE in the environment, NAME is that file's content; then the command.
set -eu
for setting in $(env | sed -n 's/^\([A-Z_]*_\(PASSWORD\|KEY\)\)_FILE=.*/\1/p'); do
    eval "file=\$${setting}_FILE"
    secret=$(cat "$file") # not within export, which hides that it failed
    [ -n "$secret" ] || { echo "$file, named by ${setting}_FILE, is empty" >&2; exit 1; }
    export "$setting=$secret"
done
exec "$@"
