/* SPDX-License-Identifier: MIT */
/*
 * What every test program shares. A program tests one noun: it defines tests with START_TEST/END_TEST (Check), adds them in one function,
 * and hands that to fixture_main. Each test runs in a child process of its own with a time limit, and fails when it leaves descriptors,
 * processes, threads or shared memory behind, or loses a descriptor that was there before it.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <errno.h>

#include <check.h>
#include <weft.h>

/* Whether ThreadSanitizer watches: it does not survive threads that a forked child of a threaded program starts. */
#if defined(__SANITIZE_THREAD__)
#define FIXTURE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FIXTURE_TSAN 1
#endif
#endif
#ifndef FIXTURE_TSAN
#define FIXTURE_TSAN 0
#endif

/* Whether AddressSanitizer watches: its memory makes cores, and whatever counts memory, huge. */
#if defined(__SANITIZE_ADDRESS__)
#define FIXTURE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIXTURE_ASAN 1
#endif
#endif
#ifndef FIXTURE_ASAN
#define FIXTURE_ASAN 0
#endif

/*
 * Those that step through sections let a death come after each n-th instruction. AddressSanitizer adds instructions, and makes each look
 * dear; that each instruction is tried is for gcc's builds without it, which is how the library is shipped.
 */
#if FIXTURE_ASAN
#define FIXTURE_STRIDE 83
#elif defined(__clang__)
#define FIXTURE_STRIDE 5
#else
#define FIXTURE_STRIDE 1
#endif

/* Whether Valgrind runs this, which gives a child that should share memory a copy of it. */
bool fixture_copies(void);

/* Whether an emulator of another processor runs this. */
bool fixture_emulated(void);

/* Ends a forked child of a test: as _exit, without a search for leaks, which are its parent's blocks. */
_Noreturn void fixture_leave(int status);

/* Runs the tests that `add` adds; the exit status of the program. Its last line of output is "N passed, N failed, N skipped". */
int fixture_main(const char *noun, void (*add)(TCase *tests));

/* A fresh, empty folder for this test, which is removed with all in it when the test has ended. The same one at each call in a test. */
const char *fixture_folder(void);

/* Ends the test here, skipped: for what this machine cannot do. It is counted and listed; ./check wants it to stand in tests/skips.txt.
 * Call it in the test itself, before anything is started. */
#define fixture_skip(why) fixture_skip_named(__func__, (why))
_Noreturn void fixture_skip_named(const char *function, const char *why);

/* Waits until an expression holds that another task or process makes true; fails the test when that takes longer than 20 seconds. */
#define fixture_until(expression)                              \
    for (weft_time fixture_late = weft_in(20); !(expression);) \
    fixture_look_again(fixture_late, #expression)
void fixture_look_again(weft_time late, const char *expression);

/*
 * Runs `body` in a forked child that then exits as a program does, with all that happens at its exit; gives what it wrote to the descriptor
 * `output`, as text. Fails the test unless it ended with 0.
 */
void fixture_exit_output(void (*body)(int output), char *text, size_t size);

/*
 * As in a program that runs without them: closes the first three descriptors; puts them there again, and tells whether something had come
 * to lie there. Nothing may fail a test in between, as nobody would read of it.
 */
void fixture_streams_close(int kept[3]);
bool fixture_streams_back(const int kept[3]);

/* Fails the test unless `call` returns -1 with errno `error`. */
#define ck_fails(call, error)             \
    do {                                  \
        errno = 0;                        \
        ck_assert_int_eq((call), -1);     \
        ck_assert_int_eq(errno, (error)); \
    } while (0)
/* Fails the test unless `call` returns NULL with errno `error`. */
#define ck_fails_null(call, error)        \
    do {                                  \
        errno = 0;                        \
        ck_assert_ptr_null((call));       \
        ck_assert_int_eq(errno, (error)); \
    } while (0)

#endif
