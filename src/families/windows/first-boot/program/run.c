#include "h2kfirst.h"

#include <stdlib.h>

/* Returns whether a list such as `0,259` has the code. */
static BOOL has_code(const wchar_t *list, DWORD code)
{
    while (list != NULL && *list != L'\0') {
        wchar_t *end;
        if (wcstoul(list, &end, 10) == code && end != list) return TRUE;
        list = *end == L',' ? end + 1 : NULL;
    }
    return FALSE;
}

/*
 * run command=… [good=0,259] [times=10 pause=60]: a program, without a shell. `times` and `pause` are for
 * installers that must wait for another one.
 */
DWORD verb_run(const struct step *step)
{
    const wchar_t *text = argument(step, L"command"), *good = argument(step, L"good");
    const wchar_t *times_text = argument(step, L"times"), *pause_text = argument(step, L"pause");
    unsigned long times = times_text == NULL ? 1 : wcstoul(times_text, NULL, 10);
    unsigned long pause = pause_text == NULL ? 0 : wcstoul(pause_text, NULL, 10);
    DWORD code = ERROR_INVALID_PARAMETER;
    if (text == NULL) return code;

    for (unsigned long time = 0; time < times; time++) {
        wchar_t command_line[MAX_COMMAND + 1];
        DWORD length = ExpandEnvironmentStringsW(text, command_line, MAX_COMMAND + 1);
        if (length == 0 || length > MAX_COMMAND + 1) return ERROR_FILENAME_EXCED_RANGE;
        if (time > 0) Sleep(pause * 1000);
        log_line(L"%ls: %ls", step->id, command_line);
        /* The step's own limit ends it. */
        code = run_command(command_line, step->seconds);
        if (code == CODE_RESTART || code == CODE_RESTART_BEGUN) return CODE_RESTART;
        if (code == CODE_NOT_YET) return code;
        if (code == ERROR_SUCCESS || has_code(good, code)) return ERROR_SUCCESS;
        log_line(L"%ls: exit code %lu", step->id, code);
    }
    return code;
}
