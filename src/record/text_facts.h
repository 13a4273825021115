/*
 * text_facts.h: facts in free text: which process, which agent, how long, what happened. Internal to record/.
 *
 * The types of free text, by words in the message's first line, the first that applies; a word behind "no", "not" or "0" does
 * not count:
 *
 *	restart_failed   giving up, restart failed, failed to restart, could not restart, cannot restart
 *	killed           killed
 *	killing          killing
 *	runaway          runaway
 *	stuck            stuck
 *	stale            heartbeat stale, heartbeat is stale, stale heartbeat
 *	restarting       restarting, attempting restart, attempting to restart
 *	crashed          crashed
 *	not_running      not running
 *	commit_gap       commit gap
 *	restarted        restarted, recovered
 */
#ifndef TOCSIN_RECORD_TEXT_FACTS_H
#define TOCSIN_RECORD_TEXT_FACTS_H

#include "record/shape.h"

/*
 * Adds type, pid ("PID 4242", "pid=4242"), runtime in seconds ("runtime=1860s", "(1860s)", "for 45m", "after 1860s"), age ("(1500s old"), agent (a word
 * like rig/witness; a rig/name at the start or behind a word such as "restarting"; else the word Deacon or Mayor) and
 * the command behind "RUNAWAY: PID N (Ns) - ".
 */
void text_facts_add(struct event *e, const struct shape_fields *f, struct span message);
/* Only the process id, of a message whose other facts are known. */
void text_facts_add_pid(struct event *e, struct span message);

#endif
