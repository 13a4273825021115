#!/bin/sh
# Who may include whom: main, pipeline → emit → engine → match → rule → record → base; input → base. An include names
# its folder ("match/prefilter.h"), so that one line shows the layer; only the program's own headers have none.
# And that every file is listed in a local.mk: what is not is missing in a distribution.
cd "${TOCSIN_SOURCE:-.}/src" || exit 99
n=0
check() # FOLDER, then the folders that it may include
{
	n=$((n + 1)) folder=$1
	pattern="($(echo "$@" | sed 's/ /|/g'))/"
	[ "$folder" != . ] || pattern="($pattern)?"
	grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$folder"/*.[ch] /dev/null |
		grep -vE "include[[:space:]]*\"${pattern}[a-z0-9_]+\.h\"" | sed 's/^/# /' > "$bad"
	[ ! -s "$bad" ] || printf 'not '
	echo "ok $n - $folder includes only what is below it"
	cat "$bad"
}
bad=$(mktemp) || exit 99
trap 'rm -f "$bad"' EXIT
check base
check input base
check record base
check rule record base
check match rule record base
check engine match rule record base
check emit engine match rule record base
check . emit engine match rule record input base
n=$((n + 1))
for file in *.[ch] */*.[ch]; do
	grep -qF "src/$file" local.mk */local.mk || echo "# src/$file"
done > "$bad"
[ ! -s "$bad" ] || printf 'not '
echo "ok $n - every file is listed"
cat "$bad"
echo "1..$n"
