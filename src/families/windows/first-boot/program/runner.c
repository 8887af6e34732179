#include "h2kfirst.h"

#include <stdio.h>

#define TRIES 2
/* A file name that no step has: an identifier has no capital letters. */
#define WHOLE L"PLAN"

static const wchar_t *const TRY[TRIES] = { L"try1", L"try2" };

/* What the limit of a step applies to: all processes that the step starts. They die with the service. */
static HANDLE new_job(DWORD flags)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = { .BasicLimitInformation = { .LimitFlags = flags } };
    HANDLE job = CreateJobObjectW(NULL, NULL);
    if (job != NULL) SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits);
    return job;
}

/* Lets processes live that a finished step has left behind on purpose. */
static void close_job(HANDLE job, BOOL kill)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION none = { 0 };
    if (kill) TerminateJobObject(job, ERROR_TIMEOUT);
    else SetInformationJobObject(job, JobObjectExtendedLimitInformation, &none, sizeof none);
    CloseHandle(job);
}

/* Runs this program again for one step. Returns its exit code, or ERROR_CANCELLED if `stop` was set. */
static DWORD run_step(const struct step *step, HANDLE stop)
{
    wchar_t program[MAX_PATH], command_line[MAX_PATH + 64];
    STARTUPINFOW startup = { .cb = sizeof startup };
    PROCESS_INFORMATION process;
    DWORD length = GetModuleFileNameW(NULL, program, MAX_PATH);
    if (length == 0 || length >= MAX_PATH) return ERROR_FILENAME_EXCED_RANGE;
    _snwprintf(command_line, MAX_PATH + 64, L"\"%ls\" --step %ls", program, step->id);

    HANDLE job = new_job(JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE);
    if (job == NULL) return GetLastError();
    if (!CreateProcessW(program, command_line, NULL, NULL, FALSE, CREATE_SUSPENDED | CREATE_NO_WINDOW, NULL, NULL,
                        &startup, &process)) {
        DWORD error = GetLastError();
        CloseHandle(job);
        return error;
    }
    AssignProcessToJobObject(job, process.hProcess);
    ResumeThread(process.hThread);

    HANDLE ends[] = { process.hProcess, stop };
    DWORD end = WaitForMultipleObjects(2, ends, FALSE, step->seconds * 1000);
    DWORD code = ERROR_TIMEOUT;
    if (end == WAIT_OBJECT_0) GetExitCodeProcess(process.hProcess, &code);
    else if (end == WAIT_OBJECT_0 + 1) code = ERROR_CANCELLED;
    close_job(job, end != WAIT_OBJECT_0);
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
    return code;
}

static BOOL is_finished(const struct step *step)
{
    return has_state(step->id, L"done") || has_state(step->id, L"passed");
}

/* Set when a step asked to be run again after a restart. */
static BOOL has_later;

/* Tries a step as often as it may be tried. A try is noted before it begins: a power cut uses it up. */
static void try_step(const struct step *step, HANDLE stop)
{
    for (int try = 0; try < TRIES; try++) {
        if (has_state(step->id, TRY[try])) continue;
        if (!set_state(step->id, TRY[try])) {
            /* Without a state the step might run at every start. */
            log_line(L"%ls: state cannot be written (error %lu)", step->id, GetLastError());
            return;
        }
        log_line(L"%ls: %ls, try %d of %d, at most %lu s", step->id, step->verb, try + 1, TRIES, step->seconds);
        DWORD code = run_step(step, stop);
        if (code == ERROR_CANCELLED && WaitForSingleObject(stop, 0) == WAIT_OBJECT_0) return;
        if (code == CODE_RESTART) set_state(WHOLE, L"restart");
        if (code == ERROR_SUCCESS || code == CODE_RESTART) {
            set_state(step->id, L"done");
            log_line(L"%ls: done", step->id);
            return;
        }
        if (code == ERROR_TIMEOUT) log_line(L"%ls: took longer than %lu s, ended", step->id, step->seconds);
        else log_line(L"%ls: exit code %lu", step->id, code);
        if (code == CODE_NOT_YET && try + 1 < TRIES) {
            has_later = TRUE;
            return;
        }
    }
    set_state(step->id, L"passed");
    log_line(L"%ls: passed over", step->id);
}

/* Goes through one half of the plan. Returns whether all of its steps are finished. */
static BOOL run_steps(const struct plan *plan, BOOL last, HANDLE stop)
{
    BOOL finished = TRUE;
    for (int index = 0; index < plan->count; index++) {
        const struct step *step = &plan->steps[index];
        if (step->last != last || is_finished(step)) continue;
        if (WaitForSingleObject(stop, 0) == WAIT_OBJECT_0) return FALSE;
        try_step(step, stop);
        if (!is_finished(step)) finished = FALSE;
    }
    return finished;
}

/* Restarts Windows, once in the life of a plan. */
static void restart(void)
{
    TOKEN_PRIVILEGES privileges = { .PrivilegeCount = 1, .Privileges = { { .Attributes = SE_PRIVILEGE_ENABLED } } };
    HANDLE token;
    wchar_t message[] = L"hyper2kvm restarts Windows to finish the drivers of this virtual machine.";
    if (has_state(WHOLE, L"restarted") || !set_state(WHOLE, L"restarted")) return;
    if (OpenProcessToken(GetCurrentProcess(), TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY, &token)) {
        if (LookupPrivilegeValueW(NULL, SE_SHUTDOWN_NAME, &privileges.Privileges[0].Luid))
            AdjustTokenPrivileges(token, FALSE, &privileges, 0, NULL, NULL);
        CloseHandle(token);
    }
    if (InitiateSystemShutdownExW(NULL, message, 5, TRUE, TRUE,
                                  SHTDN_REASON_MAJOR_OPERATINGSYSTEM | SHTDN_REASON_MINOR_RECONFIG |
                                      SHTDN_REASON_FLAG_PLANNED))
        log_line(L"restart");
    else log_line(L"restart failed (error %lu)", GetLastError());
}

void run_plan(HANDLE stop)
{
    struct plan plan;
    log_line(L"start");
    if (!read_plan(&plan)) {
        log_line(L"plan.tsv cannot be read: nothing is done");
        delete_service();
        return;
    }
    BOOL finished = run_steps(&plan, FALSE, stop);
    if (WaitForSingleObject(stop, 0) == WAIT_OBJECT_0) {
        log_line(L"stopped: the rest follows at the next start");
        return;
    }
    if (has_later) {
        log_line(L"a step can be done only after a restart");
        restart();
        return;
    }
    if (!finished || !run_steps(&plan, TRUE, stop)) return;
    log_line(L"end");
    delete_service();
    if (has_state(WHOLE, L"restart")) restart();
}
