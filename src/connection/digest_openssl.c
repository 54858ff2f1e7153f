/* SPDX-License-Identifier: MIT */
/*
 * Digests of OpenSSL. Its library is loaded when the first connection proves a key, not with this one: what lies in memory is copied by
 * each fork, and taken down at each exit, which was a sixth of both for every program that uses Weft. Loading it twice, by two threads at
 * once, loads it once. It stays.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

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

/* A function of the library: the address is stored where a pointer to it lies, which ISO C has no cast for. NULL with ENOTSUP. */
static void *function_of(const char *name)
{
    static void *loaded; /* whatever thread stores it stores the same */
    void *handle = __atomic_load_n(&loaded, __ATOMIC_ACQUIRE);
    if (!handle && (handle = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)))
        __atomic_store_n(&loaded, handle, __ATOMIC_RELEASE);
    void *function = handle ? dlsym(handle, name) : NULL;
    if (!function)
        errno = ENOTSUP;
    return function;
}

bool wefti_digest_offered(void)
{
    return function_of("HMAC") != NULL;
}

size_t wefti_digest_mac(
    enum wefti_digest digest, const void *key, size_t key_length, const void *message, size_t length, unsigned char mac[WEFTI_DIGEST_MOST])
{
    unsigned written = 0;
    digest_getter *getter;
    __typeof__(&HMAC) hmac;
    *(void **)&getter = digest < WEFTI_DIGESTS ? function_of(digest_names[digest]) : NULL;
    *(void **)&hmac = function_of("HMAC");
    const EVP_MD *kind = getter && hmac ? getter() : NULL;
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
