/* SPDX-License-Identifier: MIT */
/* UTF-8 as strs have it: surrogates, which Python's str may hold by themselves, are characters too, of three octets each. */
#ifndef WEFTI_UTF8_H
#define WEFTI_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The character at the begin of `length` octets (one at least): how many octets it has, 0 where there is none. Overlong forms and what lies
 * beyond 0x10ffff are none. */
size_t wefti_utf8_character(const char *text, size_t length, uint32_t *character);
/* Whether all of it is characters. */
bool wefti_utf8_is(const char *text, size_t length);
/* Of a text whose parts may have been cut to fit: takes out what is left of a character. The length it has then. */
size_t wefti_utf8_whole(char *text);

#endif
