#include "network.h"

#include <stdlib.h>

#define TRIES 3
#define CHECKS 10
#define DEFAULT_WAIT 180

/* Windows may still be installing the adapter's driver. */
static BOOL wait_for_adapter(const struct step *step, const wchar_t *mac, struct adapter *adapter)
{
    const wchar_t *text = argument(step, L"wait");
    unsigned long seconds = text == NULL ? DEFAULT_WAIT : wcstoul(text, NULL, 10);
    for (unsigned long second = 0;; second++) {
        if (find_adapter(mac, adapter)) return TRUE;
        if (second >= seconds) break;
        Sleep(1000);
    }
    log_line(L"%ls: no adapter with address %ls after %lu s", step->id, mac, seconds);
    return FALSE;
}

static BOOL appear(const struct step *step)
{
    for (int check = 0; check < CHECKS; check++) {
        if (has_addresses(step)) return TRUE;
        Sleep(1000);
    }
    return FALSE;
}

/* Returns 0 if the addresses are there, CODE_RESTART if they will be after a restart. */
static DWORD set_addresses(const struct step *step, const struct adapter *adapter)
{
    for (int try = 0; try < TRIES; try++) {
        set_by_netsh(step, adapter);
        if (appear(step)) return ERROR_SUCCESS;
        log_line(L"%ls: the addresses are not there yet", step->id);
    }
    DWORD error = write_interface(step, adapter);
    log_line(L"%ls: written to the registry, for the next start (error %lu)", step->id, error);
    return error == ERROR_SUCCESS ? CODE_RESTART : error;
}

/* The old adapter may still hold the name, so it is forgotten in between. */
static void take_over(const struct step *step, const struct adapter *adapter)
{
    const wchar_t *name = argument(step, L"name"), *ghost = argument(step, L"ghost");
    BOOL named = name == NULL || _wcsicmp(name, adapter->name) == 0 || rename_by_netsh(adapter, name);
    if (ghost != NULL) forget_device(ghost);
    if (!named) rename_by_netsh(adapter, name);
}

/*
 * network mac=… [name=…] [ghost=DEVICE] [address=…/PREFIX…] [gateway=…[/METRIC]…] [dns=…] [suffix=…] [wait=…]:
 * gives the adapter with this address what the old one had.
 */
DWORD verb_network(const struct step *step)
{
    const wchar_t *mac = argument(step, L"mac"), *suffix = argument(step, L"suffix");
    struct adapter adapter;
    if (mac == NULL) return ERROR_INVALID_PARAMETER;
    if (!wait_for_adapter(step, mac, &adapter)) return ERROR_NOT_FOUND;
    log_line(L"%ls: %ls is %ls, interface %lu", step->id, mac, adapter.name, adapter.index);
    DWORD result = set_addresses(step, &adapter);
    if (suffix != NULL) {
        DWORD error = write_suffix(&adapter, suffix);
        if (error != ERROR_SUCCESS) log_line(L"%ls: suffix: error %lu", step->id, error);
    }
    take_over(step, &adapter);
    return result;
}
