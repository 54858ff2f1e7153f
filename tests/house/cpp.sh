#!/bin/bash
# SPDX-License-Identifier: MIT
# The test of weft.hpp as C++17 and C++20 with both compilers, without a warning, on the built library; each program must pass.
# Usage: tests/house/cpp.sh ROOT BUILD [flag that the compilers need besides...]
set -uo pipefail
root=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
strict=(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wundef -Werror -O1)
bad=0

for compiler in g++ clang++; do
    command -v $compiler >/dev/null || { echo "no $compiler here"; exit 77; }
done

# Only gcc's own compiler can be linked with gcc's coverage.
for compiler in g++ clang++; do
    for standard in c++17 c++20; do
        flags=()
        [ $compiler = clang++ ] || flags=("${@:3}")
        "$compiler" -std=$standard "${strict[@]}" -I "$root/include" "$root/tests/test_cpp.cpp" -L "$build" -lweft -Wl,-rpath,"$build" \
            -o "$work/test" "${flags[@]}" && "$work/test" >"$work/said" && continue
        echo "$compiler -std=$standard: $(cat "$work/said" 2>/dev/null)"
        bad=$((bad + 1))
    done
done
[ $bad = 0 ] && echo "weft.hpp passes with both compilers as C++17 and C++20"
