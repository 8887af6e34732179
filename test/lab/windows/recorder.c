/*
 * Stands in for a program of Windows under wine: notes its command line in C:\recorded.txt, and ends with the
 * code that C:\codes\NAME.txt has for this call (the first number for the first call, …; the last one goes
 * on). `hang` instead of a number never ends. Without that file the code is 0.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

static const char *own_name(void)
{
    static char path[MAX_PATH];
    GetModuleFileNameA(NULL, path, MAX_PATH);
    char *name = strrchr(path, '\\');
    return name == NULL ? path : name + 1;
}

/* Returns how often the program was called before. */
static int calls(const char *name)
{
    char line[40000];
    int count = 0;
    FILE *file = fopen("C:\\recorded.txt", "r");
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == '\t') count++;
    fclose(file);
    return count;
}

static int code_for(const char *name, int call)
{
    char path[MAX_PATH], word[32] = "0";
    snprintf(path, sizeof path, "C:\\codes\\%s.txt", name);
    FILE *file = fopen(path, "r");
    if (file == NULL) return 0;
    for (int index = 0; index <= call; index++)
        if (fscanf(file, "%31s", word) != 1) break;
    fclose(file);
    if (strcmp(word, "hang") == 0) Sleep(INFINITE);
    return atoi(word);
}

int main(void)
{
    const char *name = own_name();
    int call = calls(name);
    char line[40000];
    WideCharToMultiByte(CP_UTF8, 0, GetCommandLineW(), -1, line, sizeof line, NULL, NULL);
    FILE *file = fopen("C:\\recorded.txt", "a");
    if (file == NULL) return 99;
    fprintf(file, "%s\t%s\n", name, line);
    fclose(file);
    return code_for(name, call);
}
