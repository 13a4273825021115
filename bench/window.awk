# window.awk: kill storms in a town log, as a shell user would count them at best: more than 5 unplanned kills of one rig
# within 1 h. Says when a storm begins; the last line is their number. For mawk; any awk will do.
#
# The stamp becomes seconds by arithmetic, the date once a day. Kills of a rig are a queue of times: those of 1 h ago and older
# leave it. A storm ends when nothing has kept it up for 1 h.

/\[kill\] / {
	if ($0 ~ /killed \((self-clean|gt (stop|session stop|crew stop|down)|interrupted)/)
		next
	if (substr($0, 21, 7) != "[kill] ")
		next
	slash = index($4, "/")
	if (!slash)
		next # the mayor's and the deacon's are of no rig
	rig = substr($4, 1, slash - 1)

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
	t = midnight + substr($0, 12, 2) * 3600 + substr($0, 15, 2) * 60 + substr($0, 18, 2)

	tail[rig]++
	when[rig, tail[rig]] = t
	while (when[rig, head[rig] + 1] <= t - 3600) {
		head[rig]++
		delete when[rig, head[rig]]
	}
	if (tail[rig] - head[rig] > 5) {
		if (!(rig in kept_up) || t - kept_up[rig] >= 3600) {
			storms++
			print substr($0, 1, 19), rig
		}
		kept_up[rig] = t
	}
}

END { print storms + 0 }
