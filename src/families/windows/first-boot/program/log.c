#include "h2kfirst.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE 2048

/* Opened for each line: the service and the step that it started both write. */
static HANDLE open_log(BOOL inherit)
{
    SECURITY_ATTRIBUTES attributes = { sizeof attributes, NULL, inherit };
    wchar_t path[MAX_PATH];
    if (!path_here(path, L"log.txt")) return INVALID_HANDLE_VALUE;
    return CreateFileW(path, FILE_APPEND_DATA | SYNCHRONIZE, FILE_SHARE_READ | FILE_SHARE_WRITE, &attributes,
                       OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
}

HANDLE log_for_child(void)
{
    return open_log(TRUE);
}

void log_line(const wchar_t *format, ...)
{
    wchar_t text[LINE];
    char bytes[LINE * 3 + 2];
    SYSTEMTIME now;
    va_list arguments;

    GetSystemTime(&now);
    int length = _snwprintf(text, LINE, L"%04d-%02d-%02dT%02d:%02d:%02dZ ", now.wYear, now.wMonth, now.wDay,
                            now.wHour, now.wMinute, now.wSecond);
    va_start(arguments, format);
    _vsnwprintf(text + length, LINE - length, format, arguments);
    va_end(arguments);
    text[LINE - 1] = L'\0';

    int size = WideCharToMultiByte(CP_UTF8, 0, text, -1, bytes, LINE * 3, NULL, NULL);
    if (size <= 0) return;
    bytes[size - 1] = '\r';
    bytes[size] = '\n';
    HANDLE file = open_log(FALSE);
    if (file == INVALID_HANDLE_VALUE) return;
    DWORD written;
    WriteFile(file, bytes, size + 1, &written, NULL);
    FlushFileBuffers(file);
    CloseHandle(file);
}
