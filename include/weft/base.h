/* SPDX-License-Identifier: MIT */
/*
 * What every header of Weft shares: export marks, deadlines, the option idiom, the version.
 *
 * Deadlines. Every call that may wait takes a weft_time last: nanoseconds of CLOCK_MONOTONIC, absolute, so that one deadline
 * composes over several calls. weft_in(1.5) is a second and a half from now, WEFT_NOW tries once, WEFT_FOREVER waits.
 *
 * Options. A function with options has a plain form, weft_noun_verb_with(&options), and a macro weft_noun_verb(required...,
 * .option = value...) that fills the struct in. Zero is every option's default. The field `guard` stands after the last
 * required argument, so that an option given by position instead of by name is a warning of every
 * compiler (an error with gcc 14, clang 16 and -Werror).
 */
#ifndef WEFT_BASE_H
#define WEFT_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define WEFT_BEGIN extern "C" {
#define WEFT_END }
#else
#define WEFT_BEGIN
#define WEFT_END
#endif

#define WEFT_API __attribute__((visibility("default")))
#define WEFT_PRINTF(text_, first_) __attribute__((format(printf, text_, first_)))
#define WEFT_WARN_UNUSED __attribute__((warn_unused_result))

/* For names that a macro makes up. */
#define WEFT_PASTE_(a, b) a##b
#define WEFT_PASTE(a, b) WEFT_PASTE_(a, b)

#define WEFT_VERSION_MAJOR 0
#define WEFT_VERSION_MINOR 1
#define WEFT_VERSION_PATCH 0
#define WEFT_VERSION "0.1.0"
#define WEFT_VERSION_NUMBER (WEFT_VERSION_MAJOR * 1000000 + WEFT_VERSION_MINOR * 1000 + WEFT_VERSION_PATCH)

/* Never defined: a pointer to it is what stands between required arguments and options. */
struct weft_guard;

/* Nanoseconds of CLOCK_MONOTONIC. As a deadline: WEFT_NOW (or anything past) tries once, WEFT_FOREVER waits without end. */
typedef int64_t weft_time;
#define WEFT_NOW ((weft_time)0)
#define WEFT_FOREVER ((weft_time)INT64_MAX)

WEFT_BEGIN

/* The version of the library that is running, as "0.1.0"; compare with WEFT_VERSION, that of the headers. Any task; cannot fail. */
WEFT_API const char *weft_version(void);

/* The present on the clock that deadlines use, in nanoseconds. Any task; cannot fail. */
WEFT_API weft_time weft_clock(void);

/*
 * The deadline that lies `seconds` from now. Zero, negative and NaN give a deadline that has just passed; what is too large for the
 * clock (infinity too) gives WEFT_FOREVER. Any task; cannot fail.
 */
WEFT_API weft_time weft_in(double seconds);

WEFT_END

#endif
