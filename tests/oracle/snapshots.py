#!/usr/bin/env python3
"""The same as compare.py for what is about ps snapshots: concurrent, and sustained with processes that go away.

usage: snapshots.py TOCSIN [--cases N] [--seconds N] [--seed N] [--one N] [--keep DIR]

A snapshot is complete when it has PID 1; only then is a process that it lacks gone. Written from tocsin-rules(5), like oracle.py.
"""

import json
import os
import random
import subprocess

from compare import S, compare, milliseconds, stamp, stamp_ms

USERS = ['u1', 'u2']


def random_case(rng):
    rules = []
    for index in range(rng.randint(1, 3)):
        rules.append({'name': 'c%d' % index, 'type': 'concurrent', 'group-by': rng.choice([[], ['user']]), 'least': rng.randint(1, 4)})
    for index in range(rng.randint(1, 3)):
        timespan = rng.choice([20, 30, 60]) * S
        rules.append({'name': 's%d' % index, 'type': 'sustained', 'timespan': timespan, 'max-gap': rng.choice([10 * S, 20 * S, timespan, 2 * timespan])})
    snapshots, when = [], 0
    for _ in range(rng.randint(1, 14)):
        rows = [(pid, USERS[pid % 2], rng.choice(['worker', 'worker', 'other']), rng.choice([95, 95, 95, 90, 10]))
                for pid in range(10, 10 + rng.randint(1, 6)) if rng.random() < 0.8]
        snapshots.append({'time': when, 'complete': rng.random() < 0.7, 'rows': rows})
        when += rng.choice([1, 10, 10, 19, 20, 20, 21, 30, 60]) * S
    return rules, snapshots


def in_yaml(rules):
    documents = [{'title': name, 'name': name, 'logsource': {'product': 'gastown', 'service': 'ps'}, 'detection': {'s': match, 'condition': 's'}}
                 for name, match in (('worker', {'program': 'worker'}), ('hot', {'cpu|gt': 90}))]
    for rule in rules:
        correlation = {'type': rule['type'], 'rules': ['worker']}
        if rule['type'] == 'concurrent':
            correlation.update({'group-by': rule['group-by'], 'condition': {'field': 'pid', 'gte': rule['least']}})
        else:
            correlation.update({'rules': ['hot'], 'group-by': ['pid'], 'timespan': milliseconds(rule['timespan']),
                                'max-gap': milliseconds(rule['max-gap'])})
        documents.append({'title': rule['name'], 'name': rule['name'], 'correlation': correlation, 'incident': {'update-every': 'never'}})
    return '\n---\n'.join(json.dumps(document) for document in documents) + '\n'


def in_ps(snapshots):
    text = ''
    for snapshot in snapshots:
        text += stamp(snapshot['time']) + '\n  PID  PPID USER     %CPU COMMAND\n'
        if snapshot['complete']:
            text += '    1     0 root      0.0 init\n'
        for pid, user, program, cpu in snapshot['rows']:
            text += '%5d     1 %-8s %4.1f %s\n' % (pid, user, cpu, program)
    return text


def oracle_says(rules, snapshots):
    """What a snapshot lacks is known when it is over: at the stamp of the next one, before its rows."""
    told = []
    for rule in rules:
        open_keys, held, seen = set(), {}, {}

        def change(key, state, when):
            (open_keys.add if state == 'open' else open_keys.discard)(key)
            told.append((when, rule['name'], key, state))
        for index, snapshot in enumerate(snapshots):
            when = snapshot['time']
            over = snapshots[index + 1]['time'] if index + 1 < len(snapshots) else None
            true, missing = set(), set()
            if rule['type'] == 'concurrent':
                members = {}
                for pid, user, program, _ in snapshot['rows']:
                    if program == 'worker':
                        members.setdefault((user,) if rule['group-by'] else (), set()).add(pid)
                true = {key for key, pids in members.items() if len(pids) >= rule['least']}
                missing = open_keys - true
            else:
                for pid, _, _, cpu in snapshot['rows']:
                    if cpu <= 90:       # cooled down: seen at once
                        held.pop(pid, None), seen.pop(pid, None)
                        if (str(pid),) in open_keys:
                            change((str(pid),), 'resolved', when)
                        continue
                    gap = when - seen[pid] if pid in seen else None
                    held[pid] = held.get(pid, 0) + (gap if gap is not None and gap <= rule['max-gap'] else 0)
                    seen[pid] = when
                    if held[pid] >= rule['timespan']:
                        true.add((str(pid),))
                if snapshot['complete']:
                    for pid in set(held) - {row[0] for row in snapshot['rows']}:
                        del held[pid], seen[pid]
                        missing.add((str(pid),))
            for key in true - open_keys:
                change(key, 'open', when)
            if snapshot['complete'] and over is not None:
                for key in missing & open_keys:
                    change(key, 'resolved', over)
    return sorted(told)


def run_case(tocsin, number, directory, show, _mutant):
    rules, snapshots = random_case(random.Random(number))
    rules_path, log_path = os.path.join(directory, 'rules.yml'), os.path.join(directory, 'ps.log')
    with open(rules_path, 'w') as out:
        out.write(in_yaml(rules))
    with open(log_path, 'w') as out:
        out.write(in_ps(snapshots))
    result = subprocess.run([tocsin, '-q', '-r', rules_path, '-o', 'jsonl', '--until', stamp(snapshots[-1]['time'] + S), 'ps=' + log_path],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    if result.returncode != 0:
        raise SystemExit('tocsin failed with %d:\n%s' % (result.returncode, result.stderr))
    theirs = sorted((stamp_ms(change['time']), change['rule'], tuple(change['key'].values()), change['state'])
                    for change in map(json.loads, result.stdout.splitlines()))
    mine = oracle_says(rules, snapshots)
    if theirs != mine or show:
        print('# case %d' % number)
        for line in sorted(set(theirs) ^ set(mine)) if theirs != mine else mine:
            print('#   only tocsin' if line in theirs and line not in mine else '#   only the oracle' if line not in theirs else '#   both', line)
        for rule in rules:
            print('#   ', rule)
        for snapshot in snapshots:
            print('#   ', snapshot)
    return len(theirs), theirs != mine


if __name__ == '__main__':
    compare('snapshots.py', run_case)
