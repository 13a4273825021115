# Sigma as people have it: JSON events of processes that start, and rules on their images, command lines and parents.
#	awk -v events=N -f sigma.awk > events.jsonl      awk -v rules=N -f sigma.awk > rules.yml
# One event in a thousand has a word that rules look for.
function pick(list, n) { return list[1 + int(rand() * n)] }
BEGIN {
	srand(11)
	n_programs = split("svchost explorer chrome notepad taskhostw conhost powershell cmd wmic rundll32 regsvr32 certutil bitsadmin mshta cscript schtasks", program, " ")
	n_users = split("alice bob carol dave SYSTEM NETWORK", user, " ")
	n_words = split("encodedcommand downloadstring invoke-expression mimikatz sekurlsa lsadump procdump comsvcs vssadmin shadowcopy bypass hidden noprofile " \
		"frombase64string urlcache verifyctl addmembers delete create transfer installutil msbuild javascript scrobj registerserver", word, " ")
	for (i = 1; i <= events; i++) {
		t += int(rand() * 2)
		printf "{\"ts\":\"2026-01-%02dT%02d:%02d:%02dZ\",\"EventID\":1,\"Image\":\"C:\\\\Windows\\\\System32\\\\%s.exe\",", 1 + t / 86400, t / 3600 % 24, t / 60 % 60, t % 60, pick(program, n_programs)
		printf "\"CommandLine\":\"%s.exe /c run --id %d%s\",", pick(program, n_programs), i, rand() < 0.001 ? " -" pick(word, n_words) : ""
		printf "\"ParentImage\":\"C:\\\\Windows\\\\%s.exe\",\"User\":\"%s\",\"Computer\":\"host%d\",\"IntegrityLevel\":\"High\"}\n", pick(program, n_programs), pick(user, n_users), rand() * 50
	}
	for (i = 1; i <= rules; i++) {
		printf "%stitle: Suspicious process %d\nname: suspicious_%d\nlogsource: {category: process_creation}\ndetection:\n", (i > 1 ? "---\n" : ""), i, i
		printf "  image:\n    Image|endswith: '\\%s.exe'\n  words:\n    CommandLine|contains|all:\n      - '%s'\n      - '%s %d'\n", pick(program, n_programs), pick(word, n_words), pick(word, n_words), rand() * 1000
		printf "  parent:\n    ParentImage|endswith: '\\%s%d.exe'\n  condition: image and (words or parent)\nlevel: medium\n", pick(program, n_programs), rand() * 100
	}
}
