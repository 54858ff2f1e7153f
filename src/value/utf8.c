/* SPDX-License-Identifier: MIT */
#include "value/utf8.h"

#include <string.h>

size_t wefti_utf8_character(const char *text, size_t length, uint32_t *character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)*text;
    size_t octets = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;
    if (octets == 0 || octets > length)
        return 0;
    *character = octets == 1 ? first : first & (0x7fU >> octets);
    for (size_t i = 1; i < octets; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        *character = *character << 6 | (text[i] & 0x3f);
    }
    return *character >= least[octets] && *character <= 0x10ffff ? octets : 0;
}

static bool word_is_ascii(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof(word));
    return (word & 0x8080808080808080) == 0;
}

/* ASCII at the begin, eight octets at a time; the last eight may be some of those before again. */
static size_t ascii_length(const char *text, size_t length)
{
    enum { WORD = sizeof(uint64_t) };
    size_t at = 0;
    while (at + WORD <= length && word_is_ascii(text + at))
        at += WORD;
    if (length >= WORD && at + WORD > length && word_is_ascii(text + length - WORD))
        return length;
    while (at < length && (unsigned char)text[at] < 0x80)
        at++;
    return at;
}

bool wefti_utf8_is(const char *text, size_t length)
{
    uint32_t character;
    for (size_t at = ascii_length(text, length), octets; at < length; at += octets) {
        octets = wefti_utf8_character(text + at, length - at, &character);
        if (octets == 0)
            return false;
        if (octets == 1)
            octets = ascii_length(text + at, length - at);
    }
    return true;
}

size_t wefti_utf8_whole(char *text)
{
    size_t length = strlen(text), kept = 0;
    uint32_t character;
    for (size_t at = 0, octets; at < length; at += octets ? octets : 1) {
        octets = wefti_utf8_character(text + at, length - at, &character);
        memmove(text + kept, text + at, octets);
        kept += octets;
    }
    text[kept] = 0;
    return kept;
}
