/* SPDX-License-Identifier: MIT */
/* A plugin that is linked with the shared library: its host need not know of it. */
#include "workload.h"

__attribute__((visibility("default"))) int plugin_run(void);
__attribute__((visibility("default"))) void *plugin_main_task(void);

int plugin_run(void)
{
#define PLUGIN_TAKE(name) weft_##name,
    static const struct workload_api api = {WORKLOAD_FUNCTIONS(PLUGIN_TAKE)};
    return workload_run(&api);
}

/* Which copy the plugin uses. */
void *plugin_main_task(void)
{
    return weft_main();
}
