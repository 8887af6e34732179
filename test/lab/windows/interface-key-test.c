/* Writes an adapter's part of the registry by the first step of plan.tsv: what the program does where netsh fails. */
#include "network.h"

int wmain(void)
{
    struct plan plan;
    struct adapter adapter = { .guid = L"{11111111-2222-3333-4444-555555555555}" };
    if (!read_plan(&plan) || plan.count == 0) return 1;
    return write_interface(&plan.steps[0], &adapter);
}
