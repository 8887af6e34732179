#include "h2kfirst.h"

static const struct {
    const wchar_t *name;
    DWORD (*carry_out)(const struct step *step);
} VERBS[] = {
    { L"run", verb_run },         { L"disks", verb_disks },       { L"rescan", verb_rescan },
    { L"network", verb_network }, { L"registry", verb_registry }, { L"report", verb_report },
};

DWORD carry_out(const struct step *step)
{
    for (size_t index = 0; index < sizeof VERBS / sizeof *VERBS; index++)
        if (wcscmp(VERBS[index].name, step->verb) == 0) return VERBS[index].carry_out(step);
    log_line(L"%ls: the verb %ls is not known", step->id, step->verb);
    return ERROR_INVALID_FUNCTION;
}
