/* SPDX-License-Identifier: MIT */
/*
 * Users, groups and capabilities, noted when the family begins: a process that has changed them since must not get another that still
 * has the old ones.
 */

#include "family/ids.h"

#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct ids {
    uid_t users[3];
    gid_t groups[3];
    struct __user_cap_data_struct capabilities[_LINUX_CAPABILITY_U32S_3];
};

static struct ids noted;

static void ids_read(struct ids *ids)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    memset(ids, 0, sizeof(*ids));
    getresuid(&ids->users[0], &ids->users[1], &ids->users[2]);
    getresgid(&ids->groups[0], &ids->groups[1], &ids->groups[2]);
    syscall(SYS_capget, &header, ids->capabilities);
}

void wefti_ids_note(void)
{
    ids_read(&noted);
}

bool wefti_ids_same(void)
{
    struct ids now;
    ids_read(&now);
    return memcmp(&now, &noted, sizeof(now)) == 0;
}
