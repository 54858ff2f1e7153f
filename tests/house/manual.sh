#!/bin/bash
# SPDX-License-Identifier: MIT
# The manual's section 3, as scripts/manual.py made it: each exported function has a page or a link to one, which names it; each page is shown
# by groff and passes mandoc without a warning. Usage: tests/house/manual.sh ROOT FOLDER, which holds man3
set -uo pipefail
export LC_ALL=C.UTF-8
root=$1
cd "$2" || exit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

complain() {
    echo "$*"
    bad=$((bad + 1))
}

for tool in groff mandoc; do
    command -v $tool >/dev/null || { echo "no $tool here"; exit 77; }
done

# As a terminal shows it, without bold and underlined.
plain() {
    sed 's/.\x08//g; s/\x1b\[[0-9;]*m//g'
}

# The page that a name leads to.
page_of() {
    local page=man3/$1.3
    [ -f "$page" ] || return
    read -r word target _ <"$page"
    [ "$word" != .so ] || page=$target
    [ -f "$page" ] && echo "$page"
}

functions=$(sed -n 's/^ *\(weft_[a-z0-9_]*\);$/\1/p' "$root/src/weft.map")
[ "$(wc -w <<<"$functions")" -gt 100 ] || complain "the list of exports was not read"
for function in $functions weft_spawn weft_pool_submit weft_with weft_shield weft weft.hpp; do
    page=$(page_of "$function") || { complain "$function has no page"; continue; }
    grep -qE "^\.(Nm|Fo|Ic) $function( ,)?$" "$page" || complain "$page does not name $function"
done
for header in "$root"/include/weft/*.h; do
    [ -f "man3/weft_$(basename "$header" .h).3" ] || complain "no page for $header"
done

pages=0
for page in man3/*.3; do
    ! grep -q '^\.so ' "$page" || continue
    pages=$((pages + 1))
    said=$(groff -ww -mandoc -Tutf8 "$page" 2>&1 >"$work/shown") && [ -z "$said" ] || complain "groff, $page: $said"
    plain <"$work/shown" >"$work/plain"
    said=$(mandoc -T lint -W warning "$page") && [ -z "$said" ] || complain "mandoc: $said"
    for section in NAME LIBRARY SYNOPSIS DESCRIPTION 'SEE ALSO'; do
        grep -q "^$section" "$work/plain" || complain "$page shows no $section"
    done
done

# What a reader of one of them sees.
shown=$(mandoc -T utf8 -O width=500 man3/weft_queue.3 | plain)
for words in ' where tasks meet' 'weft_queue_put(weft_queue *queue, weft_value value, weft_time deadline);' \
    'given away on success' 'size_t capacity' '[EPIPE]'; do
    grep -qF -- "$words" <<<"$shown" || complain "weft_queue(3) does not say: $words"
done
[ $bad = 0 ] && echo "$pages pages, which tell of $(wc -w <<<"$functions") functions"
