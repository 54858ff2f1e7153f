#!/bin/bash
# SPDX-License-Identifier: MIT
# Each public header compiles alone and included twice, without a warning: as C11 and C17 -pedantic with gcc and clang, and in C++17 and C++20
# with g++ and clang++. Usage: tests/house/headers.sh ROOT
set -uo pipefail
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
warnings=(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wundef -Wstrict-prototypes -Wmissing-prototypes -Werror)
warnings_cpp=(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wundef -Werror)
bad=0 good=0

compile() { # HEADER COMPILER [option...]
    printf '#include <%s>\n#include <%s>\n' "$1" "$1" |
        "$2" -I "$root/include" "${@:3}" -fsyntax-only - 2>"$work/said" && { good=$((good + 1)); return; }
    bad=$((bad + 1))
    printf '%s does not compile alone: %s\n' "$1" "${*:2}"
    head -n 20 "$work/said"
}

compilers_present() {
    local compiler
    for compiler in gcc clang g++ clang++; do
        command -v "$compiler" >/dev/null || { echo "no $compiler here"; exit 77; }
    done
}

compilers_present
for header in weft.h $(cd "$root/include" && echo weft/*.h); do
    for compiler in gcc clang; do
        compile "$header" "$compiler" -x c -std=c11 -pedantic "${warnings[@]}"
        compile "$header" "$compiler" -x c -std=c17 -pedantic "${warnings[@]}"
    done
    for compiler in g++ clang++; do
        compile "$header" "$compiler" -x c++ -std=c++17 "${warnings_cpp[@]}"
        compile "$header" "$compiler" -x c++ -std=c++20 "${warnings_cpp[@]}"
    done
done
for compiler in g++ clang++; do
    compile weft.hpp "$compiler" -x c++ -std=c++17 "${warnings_cpp[@]}"
    compile weft.hpp "$compiler" -x c++ -std=c++20 "${warnings_cpp[@]}"
done
echo "$good compiled, $bad did not"
[ $bad = 0 ]
