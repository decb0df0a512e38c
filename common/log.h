/* SPDX-License-Identifier: ISC */
/*
 * log.h - one line a message to descriptor 2, in key=value form.
 *
 *	time=… level=info proc=keyd pid=12 msg="keys loaded"
 *
 * clawd decides where descriptor 2 leads (terminal, journal, or a pipe that
 * it forwards to syslog); no process opens a log by itself. Under the journal
 * the time is left out and "<N>" says the priority. A log that cannot be
 * written at once is dropped and counted, never waited for. Nothing secret is
 * ever passed in here: keys, tokens and passphrases have no printer.
 */
#ifndef CLAW_COMMON_LOG_H
#define CLAW_COMMON_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/*
 * name: what the lines say wrote them, kept by pointer. priority: put "<N>"
 * before each line (journal, or clawd's own pipe) instead of the time.
 */
void log_init(const char *name, bool priority);
void log_set_level(enum log_level level);

/* The x forms leave errno out. errno is preserved by all. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_errorx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A state that cannot be: say so and exit with status 70 (EX_SOFTWARE). */
__attribute__((noreturn)) void
fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
__attribute__((noreturn)) void
fatalx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
