#include "h2kfirst.h"

/* Runs one step, in a process of its own whose end the service can force. */
static DWORD run_one(const wchar_t *id)
{
    struct plan plan;
    if (!read_plan(&plan)) return ERROR_FILE_CORRUPT;
    for (int index = 0; index < plan.count; index++)
        if (wcscmp(plan.steps[index].id, id) == 0) return carry_out(&plan.steps[index]);
    return ERROR_NOT_FOUND;
}

int wmain(int count, wchar_t **arguments)
{
    if (count == 3 && wcscmp(arguments[1], L"--step") == 0) return run_one(arguments[2]);
    return run_service();
}
