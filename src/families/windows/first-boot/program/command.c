#include "h2kfirst.h"

#include <stdarg.h>
#include <stdio.h>

#define COMMAND 4096

DWORD run_command(wchar_t *command_line, DWORD seconds)
{
    SECURITY_ATTRIBUTES inherit = { sizeof inherit, NULL, TRUE };
    STARTUPINFOW startup = { .cb = sizeof startup, .dwFlags = STARTF_USESTDHANDLES };
    PROCESS_INFORMATION process;
    wchar_t directory[MAX_PATH];
    DWORD code = ERROR_SUCCESS;

    if (!path_here(directory, L"")) return ERROR_FILENAME_EXCED_RANGE;
    startup.hStdInput = CreateFileW(L"NUL", GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, &inherit, OPEN_EXISTING, 0, NULL);
    startup.hStdOutput = startup.hStdError = log_for_child();
    if (!CreateProcessW(NULL, command_line, NULL, NULL, TRUE, CREATE_NO_WINDOW, NULL, directory, &startup, &process))
        code = GetLastError();
    CloseHandle(startup.hStdInput);
    CloseHandle(startup.hStdOutput);
    if (code != ERROR_SUCCESS) return code;

    if (WaitForSingleObject(process.hProcess, seconds * 1000) == WAIT_TIMEOUT) {
        TerminateProcess(process.hProcess, ERROR_TIMEOUT);
        WaitForSingleObject(process.hProcess, INFINITE);
    }
    if (!GetExitCodeProcess(process.hProcess, &code)) code = GetLastError();
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
    return code;
}

DWORD run_system_program(DWORD seconds, const wchar_t *format, ...)
{
    wchar_t command_line[COMMAND];
    va_list arguments;
    UINT length = GetSystemDirectoryW(command_line, MAX_PATH);
    if (length == 0 || length >= MAX_PATH) return ERROR_PATH_NOT_FOUND;
    command_line[length++] = L'\\';
    va_start(arguments, format);
    int more = _vsnwprintf(command_line + length, COMMAND - length, format, arguments);
    va_end(arguments);
    if (more < 0 || more >= (int)(COMMAND - length)) return ERROR_FILENAME_EXCED_RANGE;
    log_line(L"%ls", command_line + length);
    DWORD code = run_command(command_line, seconds);
    if (code != ERROR_SUCCESS) log_line(L"exit code %lu", code);
    return code;
}
