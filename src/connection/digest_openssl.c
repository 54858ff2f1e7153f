/* SPDX-License-Identifier: MIT */
/*
 * Digests of OpenSSL. Its library is loaded when the first connection proves a key (base/library.h): for every program that uses Weft it
 * was a sixth of each fork and each exit.
 */
#include <errno.h>
#include <limits.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/library.h"
#include "connection/digest.h"

#define NUMBER_TEXT(number) #number
#define NUMBER_OF(number) NUMBER_TEXT(number)
static const char library[] = "libcrypto.so." NUMBER_OF(OPENSSL_SHLIB_VERSION);

static const char *const digest_names[WEFTI_DIGESTS] = {[WEFTI_MD5] = "EVP_md5",
    [WEFTI_SHA256] = "EVP_sha256",
    [WEFTI_SHA384] = "EVP_sha384",
    [WEFTI_SHA3_256] = "EVP_sha3_256",
    [WEFTI_SHA3_384] = "EVP_sha3_384"};

typedef const EVP_MD *digest_getter(void);

/* A function of the library. False with ENOTSUP: there is none. */
static bool function_find(const char *name, void *place)
{
    static void *loaded; /* whatever thread stores it stores the same */
    void *handle = __atomic_load_n(&loaded, __ATOMIC_ACQUIRE);
    if (!handle && (handle = wefti_library_load(library)))
        __atomic_store_n(&loaded, handle, __ATOMIC_RELEASE);
    if (wefti_library_find(handle, name, place))
        return true;
    errno = ENOTSUP;
    return false;
}

bool wefti_digest_offered(void)
{
    __typeof__(&HMAC) hmac;
    return function_find("HMAC", &hmac);
}

size_t wefti_digest_mac(
    enum wefti_digest digest, const void *key, size_t key_length, const void *message, size_t length, unsigned char mac[WEFTI_DIGEST_MOST])
{
    unsigned written = 0;
    digest_getter *getter;
    __typeof__(&HMAC) hmac;
    bool offered = digest < WEFTI_DIGESTS && function_find(digest_names[digest], &getter) && function_find("HMAC", &hmac);
    const EVP_MD *kind = offered ? getter() : NULL;
    if (kind && key_length < INT_MAX && hmac(kind, key_length ? key : "", (int)key_length, message, length, mac, &written))
        return written;
    errno = ENOTSUP;
    return 0;
}

bool wefti_digest_same(const void *a, const void *b, size_t length)
{
    const volatile unsigned char *one = a, *other = b;
    unsigned char differs = 0;
    for (size_t i = 0; i < length; i++)
        differs = (unsigned char)(differs | (one[i] ^ other[i]));
    return differs == 0;
}
