#!/bin/sh
# with-secrets.sh COMMAND…: for every NAME_FILE in the environment, NAME is that file's content; then the command.
set -eu
for setting in $(env | sed -n 's/^\([A-Z_]*_\(PASSWORD\|KEY\)\)_FILE=.*/\1/p'); do
    eval "file=\$${setting}_FILE"
    export "$setting=$(cat "$file")"
done
exec "$@"
