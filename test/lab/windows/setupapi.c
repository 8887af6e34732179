/*
 * setupapi INF SECTION SERVICE: lets SetupAPI install the services of an INF's section, and prints what it has written
 * to the registry for one of them, a value a line: key below the service's, name, type, bytes in hexadecimal.
 */
#include <stdio.h>
#include <windows.h>
#include <setupapi.h>

static void print_key(HKEY key, const wchar_t *path)
{
    static BYTE data[65536];
    wchar_t name[256];
    for (DWORD index = 0;; index++) {
        DWORD length = 256, size = sizeof data, type;
        if (RegEnumValueW(key, index, name, &length, NULL, &type, data, &size) != ERROR_SUCCESS) break;
        printf("%ls\t%ls\t%lu\t", path, name, type);
        for (DWORD byte = 0; byte < size; byte++) printf("%02x", data[byte]);
        printf("\n");
    }
    for (DWORD index = 0;; index++) {
        wchar_t below[1024];
        HKEY subkey;
        DWORD length = 256;
        if (RegEnumKeyExW(key, index, name, &length, NULL, NULL, NULL, NULL) != ERROR_SUCCESS) break;
        _snwprintf(below, 1024, L"%ls%ls%ls", path, *path == L'\0' ? L"" : L"\\", name);
        if (RegOpenKeyExW(key, name, 0, KEY_READ, &subkey) != ERROR_SUCCESS) continue;
        print_key(subkey, below);
        RegCloseKey(subkey);
    }
}

static int failed(const char *what)
{
    fprintf(stderr, "%s: error %lu\n", what, GetLastError());
    return 1;
}

int wmain(int count, wchar_t **arguments)
{
    wchar_t path[512] = L"SYSTEM\\CurrentControlSet\\Services\\";
    HKEY key;
    if (count != 4) return 2;
    HINF inf = SetupOpenInfFileW(arguments[1], NULL, INF_STYLE_WIN4, NULL);
    if (inf == INVALID_HANDLE_VALUE) return failed("SetupOpenInfFile");
    if (!SetupInstallServicesFromInfSectionW(inf, arguments[2], 0)) return failed("SetupInstallServices");
    SetupCloseInfFile(inf);
    wcsncat(path, arguments[3], 400);
    if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, path, 0, KEY_READ, &key) != ERROR_SUCCESS) return failed("RegOpenKeyEx");
    print_key(key, L"");
    return 0;
}
