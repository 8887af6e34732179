#include "h2kfirst.h"

#include <stdio.h>
#include <stdlib.h>
#include <winioctl.h>

#define LAYOUT_BYTES 65536

/* From winioctl.h of newer kits. */
#define IOCTL_SET_ATTRIBUTES CTL_CODE(IOCTL_DISK_BASE, 0x003d, METHOD_BUFFERED, FILE_READ_ACCESS | FILE_WRITE_ACCESS)
#define OFFLINE 1ULL
#define READ_ONLY 2ULL
struct disk_attributes {
    DWORD version;
    BOOLEAN persist;
    BYTE reserved[3];
    DWORDLONG attributes, mask;
    DWORD reserved2[4];
};

static void write_guid(wchar_t text[40], const GUID *guid)
{
    _snwprintf(text, 40, L"%08lx-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", guid->Data1, guid->Data2, guid->Data3,
               guid->Data4[0], guid->Data4[1], guid->Data4[2], guid->Data4[3], guid->Data4[4], guid->Data4[5],
               guid->Data4[6], guid->Data4[7]);
}

/* Returns whether the plan names the disk: by its MBR signature, or by the GUID of one of its partitions. */
static BOOL is_wanted(const struct step *step, const DRIVE_LAYOUT_INFORMATION_EX *layout)
{
    const wchar_t *wanted;
    int from = 0;
    if (layout->PartitionStyle == PARTITION_STYLE_MBR) {
        while ((wanted = next_argument(step, L"mbr", &from)) != NULL)
            if (wcstoul(wanted, NULL, 16) == layout->Mbr.Signature) return TRUE;
        return FALSE;
    }
    for (DWORD index = 0; index < layout->PartitionCount; index++) {
        wchar_t guid[40];
        write_guid(guid, &layout->PartitionEntry[index].Gpt.PartitionId);
        for (from = 0; (wanted = next_argument(step, L"gpt", &from)) != NULL;)
            if (_wcsicmp(wanted, guid) == 0) return TRUE;
    }
    return FALSE;
}

static DWORD bring_online(const struct step *step, int number, HANDLE disk, DRIVE_LAYOUT_INFORMATION_EX *layout)
{
    struct disk_attributes attributes = { .version = sizeof attributes, .persist = TRUE, .mask = OFFLINE | READ_ONLY };
    DWORD size;
    if (!DeviceIoControl(disk, IOCTL_DISK_GET_DRIVE_LAYOUT_EX, NULL, 0, layout, LAYOUT_BYTES, &size, NULL))
        return ERROR_SUCCESS;
    if (layout->PartitionStyle == PARTITION_STYLE_RAW || !is_wanted(step, layout)) return ERROR_SUCCESS;
    if (!DeviceIoControl(disk, IOCTL_SET_ATTRIBUTES, &attributes, sizeof attributes, NULL, 0, &size, NULL)) {
        DWORD error = GetLastError();
        log_line(L"%ls: disk %d stays offline (error %lu)", step->id, number, error);
        return error;
    }
    DeviceIoControl(disk, IOCTL_DISK_UPDATE_PROPERTIES, NULL, 0, NULL, 0, &size, NULL);
    log_line(L"%ls: disk %d is online", step->id, number);
    return ERROR_SUCCESS;
}

/* disks [mbr=SIGNATURE…] [gpt=GUID OF A PARTITION…]: brings disks online that have a drive letter. */
DWORD verb_disks(const struct step *step)
{
    DRIVE_LAYOUT_INFORMATION_EX *layout = malloc(LAYOUT_BYTES);
    DWORD result = ERROR_SUCCESS;
    if (layout == NULL) return ERROR_OUTOFMEMORY;
    for (int number = 0; number < MAX_DISKS; number++) {
        wchar_t path[40];
        _snwprintf(path, 40, L"\\\\.\\PhysicalDrive%d", number);
        HANDLE disk = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                                  OPEN_EXISTING, 0, NULL);
        if (disk == INVALID_HANDLE_VALUE) continue;
        DWORD error = bring_online(step, number, disk, layout);
        if (error != ERROR_SUCCESS) result = error;
        CloseHandle(disk);
    }
    free(layout);
    return result;
}
