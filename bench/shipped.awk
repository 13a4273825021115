# shipped.awk: what the shipped rules count in a town log, for five of them that take up most of what they take up, as a shell user would write it:
# kill storms, health-check storms, handoff churn of rigs and of the deacon and the mayor, restart loops. Says when each opens; the last line is their
# number. For mawk; any awk will do. Names of agents are as written.
#
# The stamp becomes seconds by arithmetic, the date once a day. Events of one rule and key are a queue of times: those outside of the window leave it. What is open ends
# when nothing has kept it up for so long.

function seconds(    date)
{
	date = substr($0, 1, 10)
	if (date != last_date) {
		y = substr(date, 1, 4)
		m = substr(date, 6, 2) + 0
		if (m < 3) {
			y--
			m += 12
		}
		midnight = (365 * y + int(y / 4) - int(y / 100) + int(y / 400) + int((153 * m - 457) / 5) + substr(date, 9, 2)) * 86400
		last_date = date
	}
	return midnight + substr($0, 12, 2) * 3600 + substr($0, 15, 2) * 60 + substr($0, 18, 2)
}

# How many events of the key are in the window, with this one.
function count(key, t, window)
{
	tail[key]++
	when[key, tail[key]] = t
	while (when[key, head[key] + 1] <= t - window) {
		head[key]++
		delete when[key, head[key]]
	}
	return tail[key] - head[key]
}

function holds(key, t, resolve_after)
{
	if (!(key in kept_up) || t - kept_up[key] >= resolve_after) {
		opened++
		print substr($0, 1, 19), key
	}
	kept_up[key] = t
}

function rig_of(agent,    slash)
{
	slash = index(agent, "/")
	return slash ? substr(agent, 1, slash - 1) : ""
}

$3 == "[done]" {
	t = seconds()
	agent_done[$4] = t
	if ((rig = rig_of($4)) != "")
		rig_done[rig] = t
	next
}

$3 == "[nudge]" {
	if (index($0, "HEALTH_CHECK")) {
		t = seconds()
		if (count("health_check_storm " $4, t, 480) >= 8)
			holds("health_check_storm " $4, t, 480)
	}
	if ($4 == "deacon" && match($0, /\[from [^]]*\]/) && index($0, "] session-started")) {
		from = substr($0, RSTART + 6, RLENGTH - 7)
		t = seconds()
		if (count("session_restart_nudges " from, t, 1800) >= 5)
			holds("session_restart_nudges " from, t, 1800)
	}
	next
}

$3 == "[kill]" {
	if ($0 ~ /killed \((self-clean|gt (stop|session stop|crew stop|down)|interrupted \(exit 130\))/)
		next
	t = seconds()
	if ($4 in agent_done && t - agent_done[$4] < 600)
		next
	if (count("kill_storm", t, 3600) > 5)
		holds("kill_storm", t, 3600)
	next
}

$3 == "[handoff]" {
	t = seconds()
	if (count("handoff " $4, t, 3600) < 6)
		next
	if ($4 == "deacon" || $4 == "mayor")
		holds("handoff_churn_town " $4, t, 3600)
	if ((rig = rig_of($4)) != "" && !(rig in rig_done && t - rig_done[rig] < 3600))
		holds("handoff_churn " rig, t, 3600)
}

END { print opened + 0 }
