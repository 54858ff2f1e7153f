/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "connection/digest.h"

bool wefti_digest_offered(void)
{
    return true;
}

static const EVP_MD *digest_of(enum wefti_digest digest)
{
    switch (digest) {
    case WEFTI_MD5:
        return EVP_md5();
    case WEFTI_SHA256:
        return EVP_sha256();
    case WEFTI_SHA384:
        return EVP_sha384();
    case WEFTI_SHA3_256:
        return EVP_sha3_256();
    case WEFTI_SHA3_384:
        return EVP_sha3_384();
    case WEFTI_DIGESTS:
        break;
    }
    return NULL;
}

size_t wefti_digest_mac(
    enum wefti_digest digest, const void *key, size_t key_length, const void *message, size_t length, unsigned char mac[WEFTI_DIGEST_MOST])
{
    unsigned written = 0;
    const EVP_MD *kind = digest_of(digest);
    if (kind && key_length < INT_MAX && HMAC(kind, key_length ? key : "", (int)key_length, message, length, mac, &written))
        return written;
    errno = ENOTSUP;
    return 0;
}

bool wefti_digest_same(const void *a, const void *b, size_t length)
{
    return CRYPTO_memcmp(a, b, length) == 0;
}
