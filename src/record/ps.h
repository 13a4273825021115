/*
 * ps.h: what the files that read process listings share. Internal to record/.
 *
 *	ps_line.c     lines: stamps, headers, the cells of rows; programs and rigs
 *	ps_row.c      rows: what their cells say, and what START says of the start
 *	ps_process.c  which process a row is about, from snapshot to snapshot
 *	format_ps.c   snapshots; the format as the decoder sees it
 */
#ifndef TOCSIN_RECORD_PS_H
#define TOCSIN_RECORD_PS_H

#include "record/format.h"

#define PS_COLUMN_LIMIT 64
#define PS_HEADER_LIMIT 1024
#define PS_COMMAND_LIMIT 1024 /* kept of a command, for its children's `parent` */
#define PS_SECONDS_LIMIT 4000000000.0
#define PS_EPOCH_LIMIT INT64_C(4600000000) /* seconds, the year 2115: times up to here can be added and subtracted freely */
#define PS_PID_LIMIT (1u << 22)            /* Linux has none beyond */
#define PS_PID_PAGE 1024
#define PS_SLACK_NS (2 * NS_PER_SECOND)    /* how far apart two measurements of one start may be */

/* ---- ps_line.c ---- */

enum ps_column_kind {
	PS_COLUMN_OTHER,
	PS_COLUMN_PID,
	PS_COLUMN_PPID,
	PS_COLUMN_USER,
	PS_COLUMN_UID, /* the user where there is no better column */
	PS_COLUMN_CPU,
	PS_COLUMN_C,   /* the same of %CPU */
	PS_COLUMN_MEM,
	PS_COLUMN_ELAPSED,
	PS_COLUMN_CPUTIME,
	PS_COLUMN_START,
	PS_COLUMN_STATE,
	PS_COLUMN_COMMAND,
	PS_COLUMN_THREAD,
};

struct ps_columns {
	size_t n;
	size_t flexible; /* the one that takes what the others leave: the last command, else the last column */
	size_t other;    /* with `args` and `comm` it may also be the first: the same as flexible when there is no other */
	bool has_threads;
	uint8_t kind[PS_COLUMN_LIMIT];
	struct span name[PS_COLUMN_LIMIT]; /* in the header's text */
};

struct ps_stamp {
	struct civil civil;
	int64_t time_ns;  /* epoch seconds: at once; else TIME_NONE */
	bool clock_only;  /* top's first line */
	bool host_offset; /* the zone is written as an offset: that of the host */
};

static inline bool ps_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static inline bool ps_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool ps_is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* Rounds down, also below zero. */
static inline int64_t ps_floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

/* Without blanks and CRs around it. The functions below expect lines like this. */
struct span ps_trim(struct span s);
/* The next word; empty at the end. */
struct span ps_take_word(struct span *rest);
bool ps_all_digits(struct span s);
/* Of names at the start of s: 1 to 12, 0: none; 0 (Sunday) to 6, -1: none. */
int ps_month_at(struct span s);
int ps_weekday_at(struct span s);

/* A header has PID and another known column, or is PID alone; its words are capitals. */
bool ps_columns_parse(struct span line, struct ps_columns *ret);
/* Cuts a row into its columns, `flexible` taking what the others leave; false when there are too few words. */
bool ps_cells_of(const struct ps_columns *c, size_t flexible, struct span line, struct span cells[PS_COLUMN_LIMIT]);
/* Of cells: "-" and "?". */
bool ps_nothing_written(struct span s);
bool ps_parse_pid(struct span s, uint32_t *ret);
/* A decimal number; other locales' comma too. */
bool ps_parse_number(struct span s, double *ret);
/* Durations as ps and top write them. *ret_coarse: rounded so much that two of them cannot be subtracted. */
bool ps_parse_seconds(struct span s, double *ret, bool *ret_coarse);

/* A line that says the time and nothing else; a decorated one ("=== snapshot of STAMP ===") may say more. */
bool ps_stamp_parse(struct span line, struct ps_stamp *ret);
/* What top writes above its header. */
bool ps_summary_line(struct span line);
/* "4242 python -m pytest", "4242". A command begins with no digit: that would be the rest of another shape of row. */
bool ps_bare_row(struct span line, uint32_t *ret_pid, struct span *ret_command);

/* Without the tree that `ps f` and `--forest` draw before it. */
struct span ps_command_of(struct span s);
/* Basename of the command's first word; [kworker/0:1] as it is. */
struct span ps_program_of(struct span command);
/* Empty when the command's paths name none. */
struct span ps_rig_of(struct span command);

/* ---- ps_row.c ---- */

/* How exactly a start is known. */
enum ps_tier { PS_TIER_EXACT, PS_TIER_MINUTE, PS_TIER_HOUR, PS_TIER_DAY, PS_TIER_YEAR, PS_TIER_NONE };

struct ps_estimate { /* of when a process started: the best guess, and between what bounds it lies */
	enum ps_tier tier;
	int64_t start_ns, low_ns, high_ns;
};

struct ps_snapshot {
	int64_t time_ns;      /* of its stamp */
	int64_t ns;           /* what tells it from others: time_ns, or a little more */
	uint64_t number, rows;
	uint64_t tasks;       /* as top counted them; 0: unknown */
	bool header;          /* one has been seen since it began */
	bool columns;         /* its rows have columns */
	bool damaged, init;   /* a row of a known process could not be read; PID 1 is in it */
	bool pid_rises, cpu_falls;
	uint32_t last_pid;
	double first_cpu, last_cpu;
	bool has_offset;      /* the stamp says how far the host's clock is from UTC, and it is not the source's zone */
	int32_t offset_s;
};

struct ps_row {
	uint32_t pid, ppid;
	struct span pid_text, ppid_text, user, state, command;
	double cpu, mem, elapsed, cputime; /* NAN: not there */
	struct span cpu_text, mem_text;    /* as written */
	bool cputime_coarse;
	struct ps_estimate start;
};

/* A row without anything. */
extern const struct ps_row ps_no_row;

/*
 * Reads a row; its columns are left in cells. False when it has too few, or one does not say what its column should.
 * c and s: when the row was written, and in which zone; NULL when only the shape matters.
 */
bool ps_row_parse(const struct format_context *c, const struct ps_columns *columns, const struct ps_snapshot *s, struct span line,
		  struct span cells[PS_COLUMN_LIMIT], struct ps_row *ret);

enum ps_line {
	PS_OTHER,
	PS_BLANK,
	PS_STAMP,   /* a stamp alone on its line, or the first line of top */
	PS_SUMMARY, /* what top says above its header */
	PS_HEADER,
	PS_ROW,     /* fits the header before it */
	PS_BARE,    /* "PID command", as pgrep prints */
};

/* What a line of any file would be, for source.c, which has to recognise files. header: the header line that is in force; empty: none. */
enum ps_line ps_line_shape(struct span line, struct span header);

/* ---- ps_process.c ---- */

/*
 * In items[1..]; those in use are linked in the order in which they were last seen, the free ones through `newer`. The index
 * from PID to item is a table of pages, so that no choice of PIDs makes it slow.
 */
struct ps_process {
	uint32_t pid, older, newer;
	enum ps_tier tier;
	int64_t start_ns;       /* as first established */
	int64_t low_ns, high_ns; /* where it may really lie */
	int64_t base_ns;        /* the sighting that cputime is of */
	double cputime;         /* NAN: unknown */
	uint64_t seen;          /* number of the snapshot that it was in last */
	struct span command;    /* owned */
};

struct ps_processes {
	uint64_t complete, complete_before; /* numbers of the last two complete snapshots */
	struct ps_process *items;
	uint32_t n_items, cap_items, n_used, free, oldest, newest;
	uint32_t *pages[PS_PID_LIMIT / PS_PID_PAGE];
};

void ps_processes_release(struct ps_processes *t);
/* NULL when it is not known. */
struct ps_process *ps_process_find(struct ps_processes *t, uint32_t pid);
/*
 * Finds or adds the process of a row of snapshot `now` and brings it up to date; NULL when the PID is one that cannot be. threads: several rows
 * may be of one process. *ret_cpu_now: NAN when it cannot be said. The pointer is good until the next call.
 */
struct ps_process *ps_process_see(struct ps_processes *t, const struct ps_snapshot *now, bool threads, const struct ps_row *r,
				  double *ret_cpu_now);
/* A complete snapshot is over: forgets what neither it nor the complete one before it held. */
void ps_processes_settle(struct ps_processes *t, uint64_t number);
/* newest: the number of the snapshot that goes on. */
void ps_processes_save(const struct ps_processes *t, struct buffer *out);
bool ps_processes_load(struct ps_processes *t, uint64_t newest, struct codec_reader *in);
/* Of times in a state: sane ones, less the longest elapsed time; or TIME_NONE. */
bool ps_time_possible(int64_t t);

#endif
