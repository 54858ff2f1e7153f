/* SPDX-License-Identifier: MIT */
/* Keyed digests, of OpenSSL; without it, in builds that have none, ENOTSUP. One file of each. */
#ifndef WEFTI_DIGEST_H
#define WEFTI_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

enum wefti_digest { WEFTI_MD5, WEFTI_SHA256, WEFTI_SHA384, WEFTI_SHA3_256, WEFTI_SHA3_384, WEFTI_DIGESTS };
enum { WEFTI_DIGEST_MOST = 64 };

/* Whether there are any; false with ENOTSUP. */
bool wefti_digest_offered(void);
/* HMAC of a message under a key: how many octets, 0 with ENOTSUP (this one is not offered). */
size_t wefti_digest_mac(
    enum wefti_digest digest, const void *key, size_t key_length, const void *message, size_t length, unsigned char mac[WEFTI_DIGEST_MOST]);
/* In a time that tells nothing but the length. */
bool wefti_digest_same(const void *a, const void *b, size_t length);

#endif
