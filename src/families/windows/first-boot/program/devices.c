#include "h2kfirst.h"

#include <cfgmgr32.h>
#include <setupapi.h>

/* rescan: looks for devices again, now that there are drivers. */
DWORD verb_rescan(const struct step *step)
{
    DEVINST root;
    CONFIGRET result = CM_Locate_DevNodeW(&root, NULL, CM_LOCATE_DEVNODE_NORMAL);
    if (result == CR_SUCCESS) result = CM_Reenumerate_DevNode(root, CM_REENUMERATE_SYNCHRONOUS);
    if (result == CR_SUCCESS) return ERROR_SUCCESS;
    log_line(L"%ls: configuration manager error %lu", step->id, (unsigned long)result);
    return ERROR_GEN_FAILURE;
}

static BOOL is_present(DEVINST device)
{
    ULONG status, problem;
    return CM_Get_DevNode_Status(&status, &problem, device, 0) == CR_SUCCESS;
}

void forget_device(const wchar_t *instance)
{
    wchar_t id[MAX_DEVICE_ID_LEN];
    HDEVINFO set = SetupDiCreateDeviceInfoList(NULL, NULL);
    SP_DEVINFO_DATA device = { .cbSize = sizeof device };
    if (set == INVALID_HANDLE_VALUE) return;
    /* Opens devices that are not there, too. */
    if (SetupDiOpenDeviceInfoW(set, instance, NULL, 0, &device) &&
        SetupDiGetDeviceInstanceIdW(set, &device, id, MAX_DEVICE_ID_LEN, NULL) && !is_present(device.DevInst)) {
        if (SetupDiCallClassInstaller(DIF_REMOVE, set, &device)) log_line(L"%ls: forgotten", instance);
        else log_line(L"%ls: still remembered (error %lu)", instance, GetLastError());
    }
    SetupDiDestroyDeviceInfoList(set);
}
