#include "h2kfirst.h"

#include <stdlib.h>

/* Returns the bytes of a hexadecimal text in `data` and their number; -1 if it is none. */
static int read_bytes(const wchar_t *text, BYTE *data)
{
    size_t digits = wcslen(text);
    if (digits % 2 != 0 || digits / 2 > MAX_VALUE_BYTES || wcsspn(text, L"0123456789abcdef") != digits) return -1;
    for (size_t index = 0; index < digits / 2; index++) {
        wchar_t pair[3] = { text[index * 2], text[index * 2 + 1], L'\0' };
        data[index] = (BYTE)wcstoul(pair, NULL, 16);
    }
    return (int)(digits / 2);
}

static DWORD set_value(const wchar_t *key, const wchar_t *name, DWORD type, const wchar_t *text)
{
    BYTE *data = malloc(MAX_VALUE_BYTES);
    int size = data == NULL ? -1 : read_bytes(text, data);
    HKEY handle;
    LSTATUS result = ERROR_INVALID_DATA;
    if (size >= 0) result = RegCreateKeyExW(HKEY_LOCAL_MACHINE, key, 0, NULL, 0, KEY_SET_VALUE, NULL, &handle, NULL);
    if (result == ERROR_SUCCESS) {
        result = RegSetValueExW(handle, name, 0, type, data, size);
        if (result == ERROR_SUCCESS) result = RegFlushKey(handle);
        RegCloseKey(handle);
    }
    free(data);
    return result;
}

static DWORD delete_value(const wchar_t *key, const wchar_t *name)
{
    HKEY handle;
    LSTATUS result = RegOpenKeyExW(HKEY_LOCAL_MACHINE, key, 0, KEY_SET_VALUE, &handle);
    if (result == ERROR_SUCCESS) {
        result = RegDeleteValueW(handle, name);
        RegFlushKey(handle);
        RegCloseKey(handle);
    }
    return result == ERROR_FILE_NOT_FOUND ? ERROR_SUCCESS : result;
}

/*
 * registry key=… name=… type=NUMBER data=HEXADECIMAL: sets a value below HKEY_LOCAL_MACHINE; without `data`
 * it is deleted, and without `name` the key, which must have no keys below it.
 */
DWORD verb_registry(const struct step *step)
{
    const wchar_t *key = argument(step, L"key"), *name = argument(step, L"name");
    const wchar_t *type = argument(step, L"type"), *data = argument(step, L"data");
    DWORD result;
    if (key == NULL || *key == L'\0') return ERROR_INVALID_PARAMETER;
    if (name == NULL) {
        result = RegDeleteKeyW(HKEY_LOCAL_MACHINE, key);
        if (result == ERROR_FILE_NOT_FOUND) result = ERROR_SUCCESS;
    } else if (data == NULL) result = delete_value(key, name);
    else result = set_value(key, name, type == NULL ? REG_BINARY : wcstoul(type, NULL, 10), data);
    if (result != ERROR_SUCCESS) log_line(L"%ls: %ls: error %lu", step->id, key, result);
    return result;
}
