#!/bin/bash
# SPDX-License-Identifier: MIT
# Tests scripts/tally.py, which says whether a run of the tests was good. Usage: tests/house/tally.sh ROOT
set -euo pipefail
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '# a comment\nlock:needs_cores  only on two cores\nscript  where there is no such thing\nfamily:*  nowhere\n' >"$work/skips"

# expect NUMBERS WORDS [FAILURE] < LOG: the three numbers, what is said on standard error, and how the line about the one failure begins.
expect() {
    local got
    mapfile -t got < <("$root/scripts/tally.py" "$work/skips" /dev/stdin 2>"$work/said")
    [ "${got[0]}" = "$1" ] || { echo "expected $1, got ${got[0]}"; exit 1; }
    [[ ${got[1]-} = ${3-}* && ${#got[@]} = $(($# > 2 ? 2 : 1)) ]] || { echo "expected ${3-no failure}, got ${got[*]:1}"; exit 1; }
    grep -qF -- "$2" "$work/said" || [ -z "$2" ] || { echo "expected to read: $2"; cat "$work/said"; exit 1; }
}

result() { # NAME RESULT STATUS STDOUT
    printf '{"name": "%s", "result": "%s", "returncode": %d, "stdout": "%s", "stderr": "some words"}\n' "$@"
}

result 'weft / a' OK 0 'Running\n3 passed, 0 failed, 0 skipped\n' | expect '3 0 0' ''
{ result a OK 0 '3 passed, 0 failed, 0 skipped\n'; result b FAIL 1 'x.c:1:F:no\n2 passed, 1 failed, 0 skipped\n'; } | expect '5 1 0' 'x.c:1:F:no' 'b: FAIL, exit status 1 | x.c:1:F:no'
result 'weft / lock' OK 0 'skipped lock:needs_cores: one core\n1 passed, 0 failed, 1 skipped\n' | expect '1 0 1' 'skipped lock:needs_cores: one core'
result 'weft / lock' OK 0 'skipped lock:other: why not\n1 passed, 0 failed, 1 skipped\n' | expect '1 1 1' 'FAILED: not in' 'lock:other: skipped, but not in'
result 'weft / family' OK 0 'skipped family:any: no\n1 passed, 0 failed, 1 skipped\n' | expect '1 0 1' 'skipped family:any: no'
result 'weft / a' FAIL 99 '3 passed, 0 failed, 0 skipped\n' | expect '3 1 0' 'exit status 99' 'weft / a: FAIL, exit status 99 | 3 passed'
result 'weft / a' TIMEOUT -15 'Running' | expect '0 1 0' 'TIMEOUT' 'weft / a: TIMEOUT, exit status -15 | Running | some words'
result 'weft:house / script' SKIP 77 'no such thing here\n' | expect '0 0 1' 'skipped script: no such thing here'
result 'weft:house / other' SKIP 77 '' | expect '0 1 1' 'no reason given' 'other: skipped'
result 'weft:house / script' OK 0 '' | expect '1 0 0' ''
echo "ten runs were judged rightly"
