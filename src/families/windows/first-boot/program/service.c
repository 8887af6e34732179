#include "h2kfirst.h"

#include <stdio.h>

static SERVICE_STATUS_HANDLE status_handle;
static HANDLE stop_event;

static void report(DWORD state)
{
    SERVICE_STATUS status = { .dwServiceType = SERVICE_WIN32_OWN_PROCESS, .dwCurrentState = state };
    if (state == SERVICE_RUNNING) status.dwControlsAccepted = SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN;
    if (state == SERVICE_STOP_PENDING) status.dwWaitHint = 10000;
    SetServiceStatus(status_handle, &status);
}

static DWORD WINAPI control(DWORD code, DWORD type, void *data, void *context)
{
    (void)type, (void)data, (void)context;
    if (code == SERVICE_CONTROL_INTERROGATE) return NO_ERROR;
    if (code != SERVICE_CONTROL_STOP && code != SERVICE_CONTROL_SHUTDOWN) return ERROR_CALL_NOT_IMPLEMENTED;
    report(SERVICE_STOP_PENDING);
    SetEvent(stop_event);
    return NO_ERROR;
}

static void WINAPI service_main(DWORD count, wchar_t **arguments)
{
    (void)count, (void)arguments;
    status_handle = RegisterServiceCtrlHandlerExW(SERVICE_NAME, control, NULL);
    if (status_handle == NULL) return;
    /* Running at once: the service manager holds up nothing while the plan takes its time. */
    report(SERVICE_RUNNING);
    run_plan(stop_event);
    report(SERVICE_STOPPED);
}

int run_service(void)
{
    SERVICE_TABLE_ENTRYW table[] = { { SERVICE_NAME, service_main }, { NULL, NULL } };
    stop_event = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (stop_event == NULL) return GetLastError();
    if (StartServiceCtrlDispatcherW(table)) return 0;
    fwprintf(stderr, L"This is the service " SERVICE_NAME L"; Windows starts it.\n");
    return GetLastError();
}

void delete_service(void)
{
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
    SC_HANDLE service = manager == NULL ? NULL : OpenServiceW(manager, SERVICE_NAME, DELETE);
    if (service == NULL || !DeleteService(service)) log_line(L"the service is not deleted (error %lu)", GetLastError());
    else log_line(L"service deleted");
    if (service != NULL) CloseServiceHandle(service);
    if (manager != NULL) CloseServiceHandle(manager);
}
