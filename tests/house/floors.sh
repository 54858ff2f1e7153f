#!/bin/bash
# SPDX-License-Identifier: MIT
# Tests scripts/floors.py: the tree as it is passes; a copy of it with one thing broken fails, with a line that names it.
# Usage: tests/house/floors.sh ROOT
set -euo pipefail
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

copy_fresh() {
    rm -rf "$work/tree"
    mkdir "$work/tree"
    for part in include src tools examples docs; do
        [ ! -e "$root/$part" ] || cp -r "$root/$part" "$work/tree/"
    done
}

# broken WORDS FILE LINE: with LINE added to FILE the check must fail and say WORDS.
broken() {
    copy_fresh
    printf '%s\n' "$3" >>"$work/tree/$2"
    refused "$1"
}

refused() {
    local said
    if said=$(/usr/bin/python3 "$root/scripts/floors.py" "$work/tree"); then
        echo "not refused: $1"
        exit 1
    fi
    grep -qF -- "$1" <<<"$said" || { printf 'expected "%s", got:\n%s\n' "$1" "$said"; exit 1; }
}

/usr/bin/python3 "$root/scripts/floors.py" "$root"
copy_fresh
/usr/bin/python3 "$root/scripts/floors.py" "$work/tree" >"$work/said"

broken 'src/base/clock.c: wait/wait.h is of the floor wait, above base' src/base/clock.c '#include "wait/wait.h"'
broken 'src/wait/wait.c: weft/queue.h is of the floor queue, above wait' src/wait/wait.c '  #  include <weft/queue.h>'
broken 'src/wait/wait.c: weft.h is of the floor weft.h, above wait' src/wait/wait.c '#include <weft.h>'
broken 'include/weft/value.h: base/latch.h is private' include/weft/value.h '#include "base/latch.h"'
broken 'include/weft/value.h: weft/task.h is of the floor task, above value' include/weft/value.h '#include <weft/task.h>'
broken 'include/weft.h: wait/wait.h is private' include/weft.h '#include <wait/wait.h>'
broken 'tools/spy.c: wait/wait.h is private' tools/spy.c '#include "wait/wait.h"'
broken 'tools/spy.c: ../src/wait/wait.h is private' tools/spy.c '#include "../src/wait/wait.h"'
broken 'tools/spy.c: hint.h is private' tools/spy.c '#include "hint.h"'
broken 'lonely.h is in include/weft/ or in the table' include/weft/lonely.h '/* nothing */'
broken 'lock.h stands twice' docs/architecture.md '| `top` | `lock.h` | |'
broken 'top is a folder of src/ or a floor' docs/architecture.md '| `top` | | |'

copy_fresh
sed -i "s/'base', 'value'/'value', 'base'/" "$work/tree/src/meson.build"
refused 'src/meson.build has the floors as'
copy_fresh
mkdir "$work/tree/src/attic"
refused 'attic is a folder of src/'
echo "14 broken trees were refused"
