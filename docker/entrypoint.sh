#!/bin/sh
# audiobag COMMAND ARGUMENT...: audiobag-COMMAND where there is one, `main` for the main job, or any other program.
set -eu
command=${1:-main}
if [ "$command" = main ]; then
  [ $# -eq 0 ] || shift
  # Stopped while it prepares, it ends as the training would: the same command continues.
  trap 'exit 75' INT TERM USR1
  audiobag-prepare source=synthetic
  exec audiobag-train "$@"
fi
if command -v "audiobag-$command" >/dev/null; then
  shift
  exec "audiobag-$command" "$@"
fi
exec "$@"
