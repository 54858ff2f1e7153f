# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What ./try, ./check and .ci/run share: finding the project, installing Debian packages that are missing, building in a folder of its own.

# Debian's own tools come first: a python or meson from elsewhere in PATH is not what this is tested with.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
export LC_ALL=C.UTF-8
house_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
    say "$*"
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        command -v sudo >/dev/null || die "needs root or sudo to install packages: $*"
        sudo "$@"
    fi
}

# Which of these packages are not installed?
packages_missing() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
    done
}

# Installs those of these packages that are missing. Elsewhere than on Debian and its kin they are taken to be there.
packages_install() {
    command -v dpkg-query >/dev/null || return 0
    local missing
    mapfile -t missing < <(packages_missing "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    say "installing ${missing[*]}"
    local log
    log=$(mktemp)
    if ! as_root apt-get -o DPkg::Lock::Timeout=600 update >"$log" 2>&1 ||
        ! as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends \
            "${missing[@]}" >>"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "could not install ${missing[*]}"
    fi
    rm -f "$log"
}

# Used by the scripts that read this file.
# shellcheck disable=SC2034
packages_to_build=(meson ninja-build gcc libc6-dev pkgconf libssl-dev libjansson-dev liburing-dev libdw-dev)

# configure FOLDER [meson option...]: unless the folder is already configured just so.
configure() {
    local folder=$1 options="CC=${CC-} CXX=${CXX-} ${*:2}" mode=()
    [ ! -f "$folder/build.ninja" ] || mode=(--wipe)
    [ ${#mode[@]} = 0 ] || [ "$(cat "$folder/.options" 2>/dev/null)" != "$options" ] || return 0
    say "building in $folder/"
    rm -f "$folder/.options"
    meson setup "${mode[@]}" "$folder" "${@:2}" || return
    printf '%s' "$options" >"$folder/.options"
}

# build_in FOLDER [meson option...]: configures the folder under the project's and builds there. Shows the compiler's words only if it fails.
build_in() {
    local log
    log=$(mktemp)
    if ! (cd "$house_root" && configure "$@" && ninja -C "$1") >"$log"; then
        tail -n 60 "$log" >&2
        rm -f "$log"
        say "the build in $1/ failed"
        return 1
    fi
    rm -f "$log"
}
