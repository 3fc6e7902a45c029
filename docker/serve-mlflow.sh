#!/bin/sh
# The MLflow server with basic auth, artifacts through the server (clients need no key of the object store). All settings come
# from the environment, as docker/compose.yaml gives them; tests/system starts this very file without Docker.
set -eu
here=$(dirname "$0")

umask 077
if [ -n "${DATABASE:-}" ]; then # a password may hold @ % : and /, which a URI does not
    MLFLOW_BACKEND_STORE_URI=$(python "$here/database_uri.py")
    export MLFLOW_BACKEND_STORE_URI
fi
database=$(printf %s "$MLFLOW_BACKEND_STORE_URI" | sed 's/%/%%/g') # in an ini file % begins a name
cat > "$MLFLOW_AUTH_CONFIG_PATH" <<EOF
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = $database
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
EOF

case $MLFLOW_ARTIFACTS_DESTINATION in
s3://*) python "$here/make_bucket.py" "$MLFLOW_ARTIFACTS_DESTINATION" ;;
esac

# Names and passwords stay in the environment, where a list of processes does not show them.
exec mlflow server \
    --app-name basic-auth \
    --artifacts-destination "$MLFLOW_ARTIFACTS_DESTINATION" \
    --serve-artifacts \
    --host "${HOST:-0.0.0.0}" \
    --port "$PORT" \
    --workers "${WORKERS:-2}"
