#!/bin/bash
# SPDX-License-Identifier: MIT
# Installs Weft into an empty folder and builds programs against what lies there: in C and C++, through pkg-config and CMake, with the shared
# and the static library. They must run. Usage: tests/house/install.sh ROOT BUILD VERSION [flag that the compiler needs besides...]
set -euo pipefail
root=$1 build=$2 version=$3
flags=("${@:4}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for tool in meson pkg-config cmake g++; do
    command -v $tool >/dev/null || { echo "no $tool here"; exit 77; }
done

expect() { # PROGRAM...
    local said
    said=$("$@")
    [ "$said" = "$version 144" ] || { echo "$* said: $said"; exit 1; }
}

# The first program of README.md, from the build folder, as it says there: it runs without being told where the library is.
awk '/^    #include/ { in_program = 1 } /^[^ ]/ { in_program = 0 } in_program' "$root/README.md" | sed 's/^    //' >"$work/program.c"
read -ra uninstalled <<<"$(PKG_CONFIG_PATH=$build/meson-uninstalled pkg-config --cflags --libs weft)"
gcc -Wall -Wextra -Werror "$work/program.c" "${uninstalled[@]}" -o "$work/readme" "${flags[@]}"
[ "$("$work/readme")" = 144 ] || { echo "the program of README.md said: $("$work/readme")"; exit 1; }

DESTDIR=$work/place meson install -C "$build" --no-rebuild --quiet
header=$(find "$work/place" -name weft.h)
prefix=${header%/include/weft.h}
library=$(dirname "$(find "$prefix" -name libweft.a)")
if find "$prefix/include" -type f | sed 's|.*/include/||' | grep -v '^weft\(/[a-z_]*\)\?\.h$\|^weft\.hpp$'; then
    echo "this was installed among the headers"
    exit 1
fi

# Where the files stand is not where they were made for: pkg-config is told so.
export PKG_CONFIG_PATH=$library/pkgconfig PKG_CONFIG_SYSROOT_DIR=$work/place LD_LIBRARY_PATH=$library
strict=(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
read -ra shared <<<"$(pkg-config --cflags --libs weft)"
read -ra static <<<"$(pkg-config --cflags --libs --static weft)"
[ "$(pkg-config --modversion weft)" = "$version" ]
cd "$root/tests/house/install"
gcc -std=c11 -pedantic "${strict[@]}" program.c "${shared[@]}" -o "$work/c" "${flags[@]}"
g++ -std=c++17 "${strict[@]}" program.cpp "${shared[@]}" -o "$work/cpp" "${flags[@]}"
gcc -std=c11 -pedantic "${strict[@]}" program.c "${static[@]/#-lweft/-l:libweft.a}" -o "$work/c-static" "${flags[@]}"
for program in c cpp c-static; do
    expect "$work/$program"
done
readelf -d "$work/c" | grep -q 'NEEDED.*libweft\.so\.0\]'
readelf -d "$work/c-static" | grep -q 'NEEDED.*libweft' && { echo "the static program needs the shared library"; exit 1; }

unset LD_LIBRARY_PATH
cmake -G Ninja -S . -B "$work/cmake" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_EXE_LINKER_FLAGS="${flags[*]}" >"$work/said" || { cat "$work/said"; exit 1; }
cmake --build "$work/cmake" >"$work/said" || { cat "$work/said"; exit 1; }
for program in c-weft cpp-weft c-weft-static cpp-weft-static; do
    expect "$work/cmake/$program"
done

if [ -x "$prefix/bin/weft" ]; then
    "$prefix/bin/weft" --version | grep -qF "$version" || { echo "the installed command does not run"; exit 1; }
fi
echo "the program of README.md ran, and seven that were built on an installed Weft"
