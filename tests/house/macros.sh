#!/bin/bash
# SPDX-License-Identifier: MIT
# The macros of the public headers compile without a warning under -std=c11 -pedantic with gcc and clang, and refuse what they should refuse: an
# option by position, an unknown option, an argument of the wrong type. Usage: tests/house/macros.sh ROOT
set -uo pipefail
root=$1
strict=(-std=c11 -pedantic -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-unused-value -Wno-unused-result -Werror -fsyntax-only)
strict+=(-I "$root/include")
bad=0

# Everything that the lines below may use.
program() {
    cat <<'END'
#include <weft.h>
static weft_semaphore semaphore = WEFT_SEMAPHORE(2);
static weft_semaphore bounded = WEFT_BOUNDED_SEMAPHORE(2);
static int action(void *data) { return data != NULL; }
static weft_barrier plain_barrier = WEFT_BARRIER(3);
static weft_barrier barrier = WEFT_BARRIER(3, .action = action);
static void destroy(void *pointer) { (void)pointer; }
static weft_local local = WEFT_LOCAL(destroy);
static weft_lock lock;
static weft_rlock rlock;
static weft_value f(weft_value argument) { return argument; }
static int on_done(weft_future *future, void *data) { return future && data; }
static int each(size_t index, void *data) { return index && data; }
static int range(size_t first, size_t end, void *data) { return first && end && data; }
static weft_value star(const weft_value *arguments, size_t count) { return count ? *arguments : weft_none; }
int test(weft_pool *pool);
int test(weft_pool *pool)
{
    bool died = false;
    weft_value value = weft_none;
    struct weft_command_result result;
    (void)semaphore, (void)bounded, (void)barrier, (void)plain_barrier, (void)local, (void)lock, (void)rlock, (void)value, (void)died;
    (void)f, (void)on_done, (void)each, (void)range, (void)star, (void)pool, (void)result;
END
    printf '    %s\n    return 0;\n}\n' "$1"
}

compiles() {
    local compiler
    for compiler in gcc clang; do
        program "$1" | $compiler "${strict[@]}" -x c - || { echo "$compiler refuses: $1"; bad=$((bad + 1)); }
    done
}

refused() {
    local compiler
    for compiler in gcc clang; do
        ! program "$1" | $compiler "${strict[@]}" -x c - 2>/dev/null || { echo "$compiler accepts: $1"; bad=$((bad + 1)); }
    done
}

for compiler in gcc clang; do
    command -v $compiler >/dev/null || { echo "no $compiler here"; exit 77; }
done

compiles 'weft_spawn(WEFT_THREAD, f, weft_none);'
compiles 'weft_spawn(WEFT_THREAD, f, weft_int(1), .name = "a", .daemon = true, .stack_size = 1 << 20);'
compiles 'weft_task_new(WEFT_THREAD, f, weft_str("x"), .name = "b");'
compiles 'weft_queue_new(); weft_queue_new(.capacity = 3); weft_queue_new(.capacity = WEFT_UNBOUNDED);'
compiles 'weft_pool_new(WEFT_THREAD); weft_pool_new(WEFT_THREAD, .workers = 2, .backlog = 9, .when_full = WEFT_FULL_FAIL, .name = "p");'
compiles 'weft_pool_submit(pool, f, weft_none); weft_pool_submit(pool, f, weft_none, .on_done = on_done, .data = pool, .deadline = weft_in(1));'
compiles 'weft_pool_new(WEFT_THREAD, .initializer = f, .initializer_argument = weft_int(1), .finalizer = f);'
compiles 'weft_pool_start(pool, f, weft_none, .on_done = on_done, .priority = WEFT_PRIORITY_HIGH);'
compiles 'weft_pool_map(pool, f, value, &value, WEFT_FOREVER); weft_pool_map(pool, f, value, &value, weft_in(1), .chunk = 3);'
compiles 'weft_pool_starmap(pool, star, value, &value, WEFT_FOREVER, .chunk = 3);'
compiles 'weft_results *results = weft_pool_imap(pool, f, value); weft_results_free(results);'
compiles 'weft_results *results = weft_pool_imap_unordered(pool, f, value, .chunk = 3, .ahead = 9); weft_results_free(results);'
compiles 'weft_parallel_for(3, each, &lock); weft_parallel_for(3, each, NULL, .pool = pool, .chunk = 2, .workers = 3);'
compiles 'weft_parallel_ranges(3, range, NULL, .pool = pool);'
compiles 'weft_command_start(weft_argv("ls", "-l"), .standard_output.kind = WEFT_PIPE, .time_limit = 2.5);'
compiles 'weft_command_run(weft_argv("sort"), &result, WEFT_FOREVER); weft_command_run(weft_argv("sort"), NULL, weft_in(1), .input = value);'
compiles 'weft_with (&lock) weft_with (&rlock) weft_with (&semaphore) died = true;'
compiles 'weft_with_seen (&lock, died) { if (died) return 1; }'
compiles 'weft_shield { weft_shield { died = true; } }'
compiles 'for (;;) weft_with (&lock) { break; }'

refused 'weft_spawn(WEFT_THREAD, f, weft_none, "name");'
refused 'weft_spawn(WEFT_THREAD, f, weft_none, true);'
refused 'weft_spawn(WEFT_THREAD, f, weft_none, .nmae = "a");'
refused 'weft_spawn(WEFT_THREAD, f);'
refused 'weft_spawn(WEFT_THREAD, on_done, weft_none);'
refused 'weft_spawn(WEFT_THREAD, f, 12);'
refused 'weft_queue_new(10, 20);'
refused 'weft_pool_new(WEFT_THREAD, 4);'
refused 'weft_pool_submit(pool, f, weft_none, on_done);'
refused 'weft_pool_submit(pool, f, weft_none, .on_done = f);'
refused 'weft_pool_map(pool, f, value, &value);'
refused 'weft_pool_map(pool, f, value, &value, WEFT_FOREVER, 3);'
refused 'weft_pool_starmap(pool, f, value, &value, WEFT_FOREVER);'
refused 'weft_parallel_for(3, range, NULL);'
refused 'weft_parallel_for(3, each, NULL, pool);'
refused 'weft_command_run(weft_argv("sort"), &result, WEFT_FOREVER, 1);'
refused 'weft_command_start(weft_argv("ls"), 1);'
refused 'weft_with (&barrier) {}'
refused 'weft_with (lock) {}'
refused 'weft_str_f("%s", 12);'
[ $bad = 0 ]
