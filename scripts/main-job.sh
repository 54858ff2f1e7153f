#!/bin/bash
# SPDX-License-Identifier: MIT
# The main job: `weft run` checksums thousands of this machine's own files, is interrupted on purpose, goes on where it was, and its result is
# compared with that of sha256sum run plainly. Usage: scripts/main-job.sh [number of files]
set -euo pipefail
. "$(dirname "$0")/house.sh"

weft=$house_root/build/weft
wanted=${1:-6000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

files_choose() {
    find /usr -xdev -type f -size -256k -readable -print0 2>/dev/null | sort -z >"$work/all"
    head -z -n "$wanted" "$work/all" >"$work/files"
    count=$(tr -dc '\0' <"$work/files" | wc -c)
    [ "$count" -ge 5000 ] || [ "$count" -ge "$wanted" ] || die "only $count files under /usr"
}

jobs_logged() {
    [ -f "$work/joblog" ] && tail -n +2 "$work/joblog" | wc -l || echo 0
}

# Interrupts `weft run` as Ctrl-C would, once a third is done.
interrupt_midway() {
    local patience=2400
    until [ "$(jobs_logged)" -ge $((count / 3)) ]; do
        patience=$((patience - 1))
        [ $patience -gt 0 ] || return
        sleep 0.05
    done
    kill -INT "$(cat "$work/pid")" 2>/dev/null || true
}

# checksums [option...]: runs until the end or the interruption. Background shells ignore SIGINT: it is set back for the command.
checksums() {
    # shellcheck disable=SC2016
    env --default-signal=INT sh -c 'echo $$ >"$0"; exec "$@"' "$work/pid" \
        "$weft" run -k -0 --bar --joblog "$work/joblog" "$@" sha256sum '{}' <"$work/files"
}

run_and_interrupt() {
    interrupt_midway &
    local interrupter=$!
    if checksums >"$work/first"; then die "the interruption came too late"; fi
    wait $interrupter
    before=$(jobs_logged)
    if [ "$before" = 0 ] || [ "$before" -ge "$count" ]; then die "interrupted, but $before of $count stand in the joblog"; fi
}

files_choose
echo "weft run: checksums of $count files under /usr, interrupted on purpose after about a third"
run_and_interrupt
echo "interrupted: $before of $count are done; now again with --resume"
checksums --resume >"$work/second"
[ "$(jobs_logged)" = "$count" ] || die "the joblog has $(jobs_logged) lines for $count files"
xargs -0 sha256sum <"$work/files" | sort >"$work/expected"
sort "$work/first" "$work/second" | cmp - "$work/expected" || die "the checksums differ from those of sha256sum"
echo "resumed: the other $((count - before)) are done, none twice; all $count checksums are those that sha256sum gives"
