#!/bin/sh
# events-by-type.sh [OPTION…]: how many events of each type the log holds, most first.
# Options go to `muster events tail`: `--service`, `--from`, `--device`, `--endpoint`.
set -eu

muster events tail --no-follow -o json "$@" |
    jq --slurp --raw-output '
        [.. | objects | select(has("position")) | .type] | group_by(.)
        | map({type: .[0], count: length}) | sort_by(-.count, .type)[] | "\(.count)\t\(.type)"'
