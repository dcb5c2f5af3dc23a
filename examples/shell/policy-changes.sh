#!/bin/sh
# policy-changes.sh [OPTION…]: one line for each change of a policy or an assignment, as it happens; a ticket, a chat message
# or a log line could be made of it. Options go to `muster events tail`: `--from POSITION` to go on
# after the last position it told, `--endpoint URL`.
set -eu

muster events tail --service policy -o json "$@" |
    jq --unbuffered --raw-output '
        select(.type | test("Policy(Created|Revised|Deleted|Undeleted|Assigned|Unassigned)$"))
        | [.position, .time, .type, .actor, .subject] | @tsv'
