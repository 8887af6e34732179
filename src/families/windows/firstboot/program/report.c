#include "h2kfirst.h"

#include <stdio.h>

#define LINE 4096

static int append(char line[LINE], int length, const char *format, const wchar_t *text)
{
    int more = _snprintf(line + length, LINE - length, format, text);
    return more < 0 || more >= LINE - length ? length : length + more;
}

static int append_steps(char line[LINE], int length, const struct plan *plan, const wchar_t *what)
{
    const char *before = "\"";
    for (int index = 0; index < plan->count; index++) {
        if (!has_state(plan->steps[index].id, what)) continue;
        length = append(line, length, before, NULL);
        length = append(line, length, "%ls\"", plan->steps[index].id);
        before = ",\"";
    }
    return length;
}

/* report port=\\.\COM1: one line of JSON on the serial port, which tells the host that Windows came up. */
DWORD verb_report(const struct step *step)
{
    COMMTIMEOUTS timeouts = { .WriteTotalTimeoutConstant = 5000 };
    const wchar_t *port = argument(step, L"port");
    struct plan plan;
    char line[LINE];
    DWORD written, result = ERROR_SUCCESS;
    if (port == NULL || !read_plan(&plan)) return ERROR_INVALID_PARAMETER;

    int length = append(line, 0, "\r\n{\"hyper2kvm_firstboot\":{\"done\":[", NULL);
    length = append_steps(line, length, &plan, L"done");
    length = append(line, length, "],\"passed\":[", NULL);
    length = append_steps(line, length, &plan, L"passed");
    length = append(line, length, "]}}\r\n", NULL);

    HANDLE file = CreateFileW(port, GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE) {
        log_line(L"%ls: %ls: error %lu", step->id, port, GetLastError());
        /* A machine without this port lacks nothing else. */
        return ERROR_SUCCESS;
    }
    SetCommTimeouts(file, &timeouts);
    if (!WriteFile(file, line, length, &written, NULL)) result = GetLastError();
    else if (written != (DWORD)length) result = ERROR_TIMEOUT;
    CloseHandle(file);
    return result;
}
