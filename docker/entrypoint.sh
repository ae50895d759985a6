#!/bin/sh
# audiobag COMMAND ARGUMENT... runs audiobag-COMMAND, the main job (`main`) or any other program.
set -eu
command=${1:-main}
if [ "$command" = main ]; then
  [ $# -eq 0 ] || shift
  # An interruption during the preparation has the exit code of an interrupted training: the same command continues.
  trap 'exit 75' INT TERM USR1 HUP
  audiobag-prepare source=synthetic
  exec audiobag-train "$@"
fi
if command -v "audiobag-$command" >/dev/null; then
  shift
  exec "audiobag-$command" "$@"
fi
exec "$@"
