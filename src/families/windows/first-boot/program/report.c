#include "h2kfirst.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All but the names of steps, each of which has quotes and a comma. */
#define FRAME 64
#define NAME (MAX_NAME + 3)

static void append_steps(char *line, const struct plan *plan, const wchar_t *what)
{
    const char *before = "";
    for (int index = 0; index < plan->count; index++) {
        if (!has_state(plan->steps[index].id, what)) continue;
        sprintf(line + strlen(line), "%s\"%ls\"", before, plan->steps[index].id);
        before = ",";
    }
}

/* Returns the line, to be freed; NULL without memory. */
static char *new_line(const struct plan *plan)
{
    char *line = malloc(FRAME + (size_t)plan->count * 2 * NAME);
    if (line == NULL) return NULL;
    strcpy(line, "\r\n{\"hyper2kvm_firstboot\":{\"done\":[");
    append_steps(line, plan, L"done");
    strcat(line, "],\"passed\":[");
    append_steps(line, plan, L"passed");
    strcat(line, "]}}\r\n");
    return line;
}

/* report port=\\.\COM1: one line of JSON on the serial port, which tells the host that Windows came up. */
DWORD verb_report(const struct step *step)
{
    COMMTIMEOUTS timeouts = { .WriteTotalTimeoutConstant = 5000 };
    const wchar_t *port = argument(step, L"port");
    struct plan plan;
    DWORD written, result = ERROR_SUCCESS;
    if (port == NULL || !read_plan(&plan)) return ERROR_INVALID_PARAMETER;

    char *line = new_line(&plan);
    if (line == NULL) return ERROR_NOT_ENOUGH_MEMORY;
    DWORD length = (DWORD)strlen(line);

    HANDLE file = CreateFileW(port, GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE) {
        log_line(L"%ls: %ls: error %lu", step->id, port, GetLastError());
        free(line);
        /* A machine without this port lacks nothing else. */
        return ERROR_SUCCESS;
    }
    SetCommTimeouts(file, &timeouts);
    if (!WriteFile(file, line, length, &written, NULL)) result = GetLastError();
    else if (written != length) result = ERROR_TIMEOUT;
    CloseHandle(file);
    free(line);
    return result;
}
