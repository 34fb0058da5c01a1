#!/usr/bin/env bash
# runc where CAP_SYS_RESOURCE cannot be had: takes it out of what is asked for, then does as told. It stands before runc
# outside of the nodes (dockerd starts it) and inside (it comes first on containerd's PATH).
set -euo pipefail
command='' file='' previous='' bundle=.
for argument in "$@"; do
  case $previous in
    --bundle | -b) bundle=$argument ;;
    --process | -p) file=$argument ;;
  esac
  case $argument in
    --bundle=*) bundle=${argument#*=} ;;
    --process=*) file=${argument#*=} ;;
    create | run | exec) command=${command:-$argument} ;;
  esac
  previous=$argument
done
case $command in
  create | run) file=$bundle/config.json ;;
  exec) ;;
  *) file='' ;;
esac
if [ -n "$file" ] && [ -f "$file" ]; then
  # The file is compact JSON, in which the quoted name only stands in lists of capabilities.
  sed -i 's/,"CAP_SYS_RESOURCE"//g; s/"CAP_SYS_RESOURCE",//g; s/\["CAP_SYS_RESOURCE"\]/[]/g' "$file"
fi
exec "${RUNC:-/usr/sbin/runc}" "$@"
