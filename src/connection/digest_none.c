/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "connection/digest.h"

bool wefti_digest_offered(void)
{
    errno = ENOTSUP;
    return false;
}

size_t wefti_digest_mac(
    enum wefti_digest digest, const void *key, size_t key_length, const void *message, size_t length, unsigned char mac[WEFTI_DIGEST_MOST])
{
    (void)digest, (void)key, (void)key_length, (void)message, (void)length, (void)mac;
    errno = ENOTSUP;
    return 0;
}

bool wefti_digest_same(const void *a, const void *b, size_t length)
{
    (void)a, (void)b, (void)length;
    return false;
}
