/* SPDX-License-Identifier: MIT */
/* Why an execve failed, in the words of strerror(3). */
#ifndef STRACED_GATE_ERRORS_H
#define STRACED_GATE_ERRORS_H

#define EPERM 1
#define ENOENT 2
#define ESRCH 3
#define ENOEXEC 8

static const char *in_words(long error)
{
	switch (error) {
	case EPERM: return "Operation not permitted";
	case ENOENT: return "No such file or directory";
	case 5: return "Input/output error";
	case 7: return "Argument list too long";
	case ENOEXEC: return "Exec format error";
	case 11: return "Resource temporarily unavailable";
	case 12: return "Cannot allocate memory";
	case 13: return "Permission denied";
	case 20: return "Not a directory";
	case 21: return "Is a directory";
	case 22: return "Invalid argument";
	case 23: return "Too many open files in system";
	case 24: return "Too many open files";
	case 26: return "Text file busy";
	case 36: return "File name too long";
	case 40: return "Too many levels of symbolic links";
	case 80: return "Accessing a corrupted shared library";
	}
	return 0;
}

#endif
