/* What the program takes at most. ../limits.ts has the same numbers, and PLAN makes nothing beyond them. */
#ifndef H2KFIRST_LIMITS_H
#define H2KFIRST_LIMITS_H

#define MAX_PLAN_BYTES 16777216
#define MAX_NAME 32         /* Characters of a step's name and of the folder for states. */
#define MAX_SECONDS 86400
#define MAX_COMMAND 32766   /* Characters with variables filled in: what CreateProcess takes, without its end. */
#define MAX_VALUE_BYTES 65536
#define MAX_ADDRESS 63      /* Characters without the prefix. */
#define MAX_DISKS 256       /* Of the machine; a plan may name more. */

#endif
