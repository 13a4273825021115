#!/usr/bin/env python3
"""The shipped rules on the logs of five real towns ($TOCSIN_DATA): prints TAP, see tests/towns.tap.

For each town: the full list of its incidents, held against NAME.expected, which has no text of the logs (TOCSIN_APPROVE=1 writes it); what
must be found, at its lines, and what must stay silent; that no record is lost; and that its zones are right.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOCSIN = os.environ['TOCSIN']
SOURCE = os.environ['TOCSIN_SOURCE']
DATA = os.environ.get('TOCSIN_DATA') or os.path.join(SOURCE, '..', 'shared', 'data')
APPROVE = bool(os.environ.get('TOCSIN_APPROVE'))

# What the stamps of town.log and daemon.log are in. .events.jsonl is in UTC; the nudges that stand in both logs give town.log's zone to the
# second, sessions that the daemon starts or stops, and that .events.jsonl knows of, the daemon's. icecream is known to be US Eastern; of the
# others the data says the offset only.
TOWNS = {
    'golden': {'town': 'Etc/GMT-7', 'daemon': 'Etc/GMT-7'},
    'hq': {'town': 'Etc/GMT-1'},
    'icecream': {'town': 'America/New_York', 'daemon': 'America/New_York'},
    'sampler': {'town': 'America/New_York', 'daemon': 'America/New_York'},
    'specwriter': {'town': 'UTC', 'daemon': 'UTC'},
}

# (rule, key, source, first line, last line): an incident whose oldest listed evidence at its opening stands there.
FOUND = {
    'golden': [('session_exists_thrash', 'psu_teaching', 'daemon', 14, 352),
               ('session_exists_thrash', '10x_screening', 'daemon', 14, 352),
               ('session_exists_thrash', 'fl_tanwa_info', 'daemon', 14, 352),
               ('stop_fought', '10x_screening/witness', 'town', 25, 32),
               ('stop_fought', 'fl_tanwa_info/witness', 'town', 25, 32),
               ('stop_fought', 'psu_teaching/witness', 'town', 25, 32)],
    'hq': [],
    'icecream': [('deacon_kill_loop', '', 'daemon', 10, 10), ('deacon_kill_loop', '', 'daemon', 757, 757),
                 ('session_restart_nudges', 'deacon', 'town', 71, 127), ('session_restart_nudges', 'deacon', 'town', 180, 248),
                 ('session_start_loop', 'icecream/witness', 'events', 9, 39), ('handoff_churn', 'icecream', 'town', 4, 10)],
    'sampler': [('deacon_crash_loop_latched', '', 'daemon', 4435, 5142), ('dolt_saturated', '', 'daemon', 4940, 5145)],
    'specwriter': [('handoff_churn_town', 'deacon', 'town', 21, 56)],
}

# Rules that must open nothing, anywhere.
SILENT = ['kill_storm', 'kill_storm_goes_on', 'mass_death', 'mass_death_reported', 'death_cascade']
# In hq seventeen different polecats start in one batch: nothing about starts, and in fact nothing at all.
SILENT_ALL = ['hq']

# The same nudge in both logs, second by second.
NUDGES = '''
title: Nudge in the town log
name: town_nudge
logsource: {product: gastown, service: town}
detection: {s: {type: nudge}, condition: s}
---
title: Nudge in the events
name: event_nudge
logsource: {product: gastown, service: events}
detection: {s: {type: nudge}, condition: s}
---
title: A second with a nudge in both
name: in_both
correlation: {type: temporal, rules: [town_nudge, event_nudge], group-by: [time], timespan: 1s}
---
title: A second with a nudge in the town log
name: in_town
correlation: {type: event_count, rules: [town_nudge], group-by: [time], timespan: 1s, condition: {gte: 1}}
'''

# What the daemon did, and what .events.jsonl says of it within 15 s.
DAEMON = '''
title: Daemon started a session
name: daemon_start
logsource: {product: gastown, service: daemon}
detection: {s: {type: [session_started, deacon_started]}, condition: s}
---
title: The session started
name: event_start
logsource: {product: gastown, service: events}
detection: {s: {type: session_start}, condition: s}
---
title: Daemon stopped
name: daemon_stop
logsource: {product: gastown, service: daemon}
detection: {s: {type: daemon_stopped}, condition: s}
---
title: Town halted
name: event_halt
logsource: {product: gastown, service: events}
detection: {s: {type: halt}, condition: s}
---
title: Started, say both
name: both_start
correlation: {type: temporal, rules: [daemon_start, event_start], group-by: [agent], timespan: 15s}
---
title: Stopped, say both
name: both_stop
correlation: {type: temporal, rules: [daemon_stop, event_halt], group-by: [], timespan: 15s}
'''

# One record of sampler's daemon log that spans lines: its first line and its last one.
RECORD = '''
title: A start of the mayor that failed, with all its lines
name: whole
logsource: {product: gastown, service: daemon}
detection:
  s: {raw|contains|all: ['Error starting Mayor: ', '4. If nothing hooked']}
  condition: s
incident: {resolve-after: 1s}
'''

number = 0


def result(good, what, *notes):
    global number
    number += 1
    print('%s %d - %s' % ('ok' if good else 'not ok', number, what))
    for note in notes:
        for line in str(note).splitlines():
            print('# ' + line)
    sys.stdout.flush()


def skip(what, why):
    global number
    number += 1
    print('ok %d - %s # SKIP %s' % (number, what, why))


def run(arguments):
    done = subprocess.run([TOCSIN] + arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors='replace', timeout=300)
    if done.returncode != 0:
        return None, done.stderr
    return done.stdout, done.stderr


def zones(town, shift=None):
    """The options; with a shift every zone is wrong by so many hours."""
    options = []
    for source, zone in TOWNS[town].items():
        options += ['--tz', '%s=%s' % (source, zone if shift is None else 'Etc/GMT%+d' % shift)]
    return options


def incidents(town, rules, *more):
    out, err = run(['-q', '-r', rules, '-o', 'jsonl'] + zones(town) + list(more) + [os.path.join(DATA, town)])
    if out is None:
        result(False, '%s is read' % town, err)
        return []
    return [json.loads(line) for line in out.splitlines()]


def listed(change):
    """A line of NAME.expected: nothing that the logs' authors wrote, but names of agents and rigs."""
    key = ' '.join('%s=%s' % pair for pair in change['key'].items())
    first = change['evidence'][0] if change['evidence'] else None
    return '%s %-8s %-13s %s %s value=%s count=%d evidence=%s' % (
        change['time'], change['state'], change['level'], change['rule'], '{%s}' % key, json.dumps(change['value']), change['count'],
        '%s:%d' % (first['source'], first['line']) if first else '-')


def check_list(town, changes):
    path = os.path.join(HERE, town + '.expected')
    text = ''.join(listed(change) + '\n' for change in changes)
    if APPROVE:
        old = open(path).read() if os.path.exists(path) else None
        if old != text:
            with open(path, 'w') as out:
                out.write(text)
            print('# approved: tests/towns/%s.expected' % town)
        result(True, '%s: the list of incidents # approved' % town)
        return
    expected = open(path).read() if os.path.exists(path) else ''
    if text == expected:
        result(True, '%s: the list of incidents is the approved one' % town)
        return
    import difflib
    result(False, '%s: the list of incidents is the approved one' % town,
           *list(difflib.unified_diff(expected.splitlines(), text.splitlines(), 'approved', 'told', lineterm='', n=1))[:80],
           'make approve accepts it')


def check_found(town, changes):
    opened = [change for change in changes if change['state'] == 'open']
    for rule, key, source, first, last in FOUND[town]:
        hits = [change for change in opened if change['rule'] == rule and ' '.join(change['key'].values()) == key
                and change['evidence'][0]['source'] == source and first <= change['evidence'][0]['line'] <= last]
        result(bool(hits), '%s: %s%s is found, first at %s:%d–%d' % (town, rule, ' of ' + key if key else '', source, first, last))
    wrong = [change for change in opened if change['rule'] in SILENT or town in SILENT_ALL]
    result(not wrong, '%s: what must stay silent is silent' % town, *[listed(change) for change in wrong])


def check_records(town):
    """Every line is in a record, every record of town.log and .events.jsonl is understood, every stamped line of daemon.log begins one."""
    directory = os.path.join(DATA, town)
    for name, source, begins in (('logs/town.log', 'town', None), ('.events.jsonl', 'events', None),
                                 ('daemon/daemon.log', 'daemon', re.compile(rb'\d{4}/\d\d/\d\d \d\d:\d\d:\d\d '))):
        path = os.path.join(directory, name)
        if not os.path.exists(path):
            continue
        with open(path, 'rb') as log:
            lines = log.read().split(b'\n')
        if lines[-1] == b'':
            lines.pop()
        records = len(lines) if begins is None else sum(1 for line in lines if begins.match(line))
        out, err = run(['fields', '--stats'] + zones(town) + ['%s=%s' % (source, path)])
        told = re.search(r'(\d+) lines, (\d+) records', err)
        unparsed = re.search(r'unparsed (\d+), .* cut (\d+)', err)
        got = (int(told.group(1)), int(told.group(2)), unparsed.group(1), unparsed.group(2)) if told and unparsed else err
        wanted = (len(lines), records, '0', '0')
        result(got == wanted, '%s: %s: %d lines in %d records, none of them not understood' % (town, name, len(lines), records),
               *([] if got == wanted else [got]))


def check_whole_records(directory):
    with open(os.path.join(directory, 'daemon', 'daemon.log'), encoding='utf-8', errors='replace') as log:
        text = log.read()
    wanted = len([record for record in re.split(r'(?m)^(?=\d{4}/\d\d/\d\d \d\d:\d\d:\d\d )', text)
                  if 'Error starting Mayor: ' in record and '4. If nothing hooked' in record])
    with tempfile.NamedTemporaryFile('w', suffix='.yml') as rules:
        rules.write(RECORD)
        rules.flush()
        changes = incidents('sampler', rules.name)
    got = sum(change['count'] for change in changes if change['state'] == 'resolved')
    got += sum(change['count'] for change in changes[-1:] if change['state'] == 'open')
    result(got == wanted and wanted > 10, 'sampler: %d records of several lines are whole' % wanted, 'found: %d' % got)


def check_zones(town):
    def opened(rules, shift=None):
        with tempfile.NamedTemporaryFile('w', suffix='.yml') as file:
            file.write(rules)
            file.flush()
            out, err = run(['-q', '-r', file.name, '-o', 'jsonl'] + zones(town, shift) + [os.path.join(DATA, town)])
        told = [json.loads(line) for line in (out or '').splitlines()]
        return {rule: sum(1 for change in told if change['state'] == 'open' and change['rule'] == rule)
                for rule in ('in_both', 'in_town', 'both_start', 'both_stop')}
    right, wrong = opened(NUDGES), opened(NUDGES, 11)
    apart = 1 if town == 'golden' else 0    # one of its nudges was written to the two logs on either side of a second's end
    result(right['in_both'] + apart == right['in_town'] > 0 and wrong['in_both'] == 0,
           '%s: with town.log in %s its %d seconds with nudges have one in .events.jsonl' % (town, TOWNS[town]['town'], right['in_town']),
           'in both: %d; with a wrong zone: %d' % (right['in_both'], wrong['in_both']))
    if 'daemon' in TOWNS[town]:
        right, wrong = opened(DAEMON), opened(DAEMON, 11)
        both, false = right['both_start'] + right['both_stop'], wrong['both_start'] + wrong['both_stop']
        result(both > 0 and false == 0, '%s: with daemon.log in %s the events confirm what the daemon did' % (town, TOWNS[town]['daemon']),
               '%d starts, %d stops; with a wrong zone: %d' % (right['both_start'], right['both_stop'], false))


def main():
    for town in TOWNS:
        directory = os.path.join(DATA, town)
        if not os.path.isdir(directory):
            skip('%s: its incidents' % town, 'no logs of this town under TOCSIN_DATA')
            continue
        changes = incidents(town, os.path.join(SOURCE, 'rules'))
        check_list(town, changes)
        if APPROVE:
            continue
        check_found(town, changes)
        check_records(town)
        check_zones(town)
        if town == 'sampler':
            check_whole_records(directory)
        if town in ('icecream', 'sampler'):
            silent = [change for change in incidents(town, os.path.join(SOURCE, 'rules'), '-r', os.path.join(SOURCE, 'rules-extra', 'sleeping-host.yml'))
                      if change['rule'] in ('daemon_heartbeat_silence', 'daemon_silent_at_work')]
            result(not silent, '%s: its host slept; with rules-extra/sleeping-host.yml that is no incident' % town, *[listed(change) for change in silent])
    print('1..%d' % number)


main()
