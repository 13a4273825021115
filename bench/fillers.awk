# N more rules for the town log, each a detection and a correlation: words that such logs hold, in phrases that this one has not got.
#	awk -v first=21 -v last=1000 -f fillers.awk
BEGIN {
	srand(7)
	n_words = split("cache disk queue merge branch review commit rebase socket timeout refused denied orphan zombie handler session token quota latency backlog " \
		"deadlock panic fatal segfault checksum corrupt retry overload memory swap kernel inode cluster replica leader election follower partition " \
		"lease heartbeat snapshot restore migrate schema index vacuum lock contention starvation throttle", word, " ")
	n_kinds = split("nudge message,handoff reason,kill reason,spawn message,crash reason,escalation_sent reason,done message,session_death reason", kind, ",")
	n_ways = split("contains contains contains startswith endswith re", way, " ")
	for (i = first; i <= last; i++) {
		split(kind[1 + int(rand() * n_kinds)], k, " ")
		phrase = word[1 + int(rand() * n_words)] " " word[1 + int(rand() * n_words)]
		w = way[1 + int(rand() * n_ways)]
		if (w == "re")
			phrase = "'" phrase " \\d+ (?<what>\\w+)'"
		printf "---\ntitle: filler %d, one event\nname: filler_%d_event\nlogsource: {product: gastown, service: town}\n", i, i
		printf "detection:\n  selection:\n    type: %s\n    %s|%s: %s\n  condition: selection\n", k[1], k[2], w, phrase
		printf "---\ntitle: filler %d\nname: filler_%d\ncorrelation:\n  type: event_count\n  rules: [filler_%d_event]\n", i, i, i
		printf "  group-by: [rig]\n  timespan: 1h\n  condition: {gt: %d}\n", 1 + int(rand() * 10)
	}
}
