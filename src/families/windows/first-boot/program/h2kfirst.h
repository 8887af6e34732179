/*
 * The first-boot program of a converted Windows guest: a service that carries out plan.tsv once, and then
 * deletes itself. docs/windows-first-boot.md has the plan's format and what is in the state folder.
 */
#ifndef H2KFIRST_H
#define H2KFIRST_H

#include <windows.h>

#include "limits.h"

#define SERVICE_NAME L"hyper2kvm-firstboot"

/* Exit codes with a meaning of their own, for commands of the plan and for this program started with --step. */
#define CODE_RESTART 3010       /* ERROR_SUCCESS_REBOOT_REQUIRED: done, and Windows must restart. */
#define CODE_RESTART_BEGUN 1641 /* ERROR_SUCCESS_REBOOT_INITIATED: the same. */
#define CODE_NOT_YET 249        /* Not done: run the step again after a restart. */

struct step {
    const wchar_t *id;
    DWORD seconds;
    const wchar_t *verb;
    const wchar_t **arguments; /* name=value, as many as `count`. */
    int count;
    BOOL last; /* After `end`: runs when all others are finished. */
};

struct plan {
    struct step *steps;
    int count;
};

/* plan.c */
BOOL read_plan(struct plan *plan);
/* Returns the value of an argument; `*from` is where to look on, for arguments that occur several times. */
const wchar_t *next_argument(const struct step *step, const wchar_t *name, int *from);
/* Returns the value of the first argument of that name; NULL if there is none. */
const wchar_t *argument(const struct step *step, const wchar_t *name);

/* paths.c */
/* Writes the path of a file beside the program. Returns FALSE if it is too long. */
BOOL path_here(wchar_t path[MAX_PATH], const wchar_t *name);

/* log.c */
void log_line(const wchar_t *format, ...);
/* Returns a new handle on log.txt that a child process can inherit. */
HANDLE log_for_child(void);

/* state.c: what has happened, as names of empty files. */
/* The folder for this plan's: one that an earlier plan has not used. */
void use_state(const wchar_t *folder);
BOOL has_state(const wchar_t *id, const wchar_t *what);
BOOL set_state(const wchar_t *id, const wchar_t *what);

/* command.c */
/* Runs a command line without a window, its output into the log. Returns its exit code or a Win32 error. */
DWORD run_command(wchar_t *command_line, DWORD seconds);
/* The same for a program in System32. */
DWORD run_system_program(DWORD seconds, const wchar_t *format, ...);

/* runner.c */
/* Carries out the plan until it is finished or `stop` is set. */
void run_plan(HANDLE stop);

/* service.c */
int run_service(void);
void delete_service(void);

/* verbs.c: carries out one step. Returns 0, CODE_RESTART, CODE_NOT_YET or an error. */
DWORD carry_out(const struct step *step);

/* One function for each verb, each in a file of that name. */
DWORD verb_run(const struct step *step);
DWORD verb_disks(const struct step *step);
DWORD verb_rescan(const struct step *step);
DWORD verb_network(const struct step *step);
DWORD verb_registry(const struct step *step);
DWORD verb_report(const struct step *step);

/* devices.c */
/* Removes a device that Windows remembers and that is not there any more. */
void forget_device(const wchar_t *instance);

#endif
