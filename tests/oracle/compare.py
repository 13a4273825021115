#!/usr/bin/env python3
"""Random rules over random traces, through tocsin and through oracle.py: both must tell the same incidents.

usage: compare.py TOCSIN [--cases N] [--seconds N] [--seed N] [--one N] [--keep DIR] [--mutant NAME]

Stops after so many cases or seconds. A case is a function of its number alone; --one N replays case N and shows both answers, --keep leaves its
rules and log in a directory, --mutant makes a mistake in the oracle (closed-window, late-deadline) that the comparison must find. Times are close to the edges of the windows: W - 1 ms, W,
W + 1 ms after an earlier event, equal stamps, and records that come out of order within --lateness.
"""

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time

from oracle import Oracle

START_MS = 1767225600000        # 2026-01-01T00:00:00Z
LETTERS = 'abcd'
S = 1000


def stamp(ms):
    seconds, fraction = divmod(START_MS + ms, 1000)
    return time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds)) + '.%03dZ' % fraction


def stamp_ms(text):
    """Milliseconds since START_MS of a time in tocsin's answer."""
    whole, _, fraction = text.rstrip('Z').partition('.')
    import calendar
    return calendar.timegm(time.strptime(whole, '%Y-%m-%dT%H:%M:%S')) * 1000 + int((fraction + '000')[:3]) - START_MS


# Rules -------------------------------------------------------------------------------------------------------------------------------------

def bounds(rng, least, most):
    name = rng.choice(['gte', 'gte', 'gte', 'gt', 'eq', 'lte', 'lt', 'neq'])
    return {name: rng.randint(least, most)}


def life(rng, timespan, kind):
    choice = [None, 1 * S, timespan - 1, timespan, timespan + 1, 3 * timespan]
    resolve_after = rng.choice(choice)
    told = rng.choice([None, 'never', 1 * S, timespan])
    default = {'sustained': 0, 'concurrent': 0, 'detection': 600 * S}.get(kind, timespan)
    return {'resolve-after': default if resolve_after is None else resolve_after,
            'update-every': 900 * S if told is None else None if told == 'never' else told,
            'text': {'resolve-after': resolve_after, 'update-every': told}}


def detections():
    return [{'name': letter, 'match': lambda event, letter=letter: event.get('x') == letter} for letter in LETTERS]


def temporal(rng, names, ordered):
    needs = rng.sample(names, rng.choice([1, 1, 2, 2, 3]))
    rest = [name for name in names if name not in needs]
    forbids = rng.sample(rest, min(len(rest), rng.choice([0, 1, 1, 2])))
    if not forbids and len(needs) < 2:
        forbids = [rest[0]]
    listed = needs + forbids
    rng.shuffle(listed)
    rule = {'rules': listed, 'needs': needs, 'forbids': forbids}
    if ordered and len(needs) > 1 and rng.random() < 0.5:
        least = rng.randint(1, len(needs))
        if forbids or rng.random() < 0.5:
            rule['ways'] = [[name] + needs[2:] for name in needs[:2]]
            rule['text'] = ' and '.join(['(%s or %s)' % tuple(needs[:2])] + needs[2:] + ['not ' + name for name in forbids])
        elif least < len(needs):
            rule['ways'] = list(itertools.combinations(needs, least))
            rule['text'] = {'gte': least}
        else:
            rule['text'] = {'gt': least - 1}
    return rule


def random_rules(rng):
    rules = detections()
    for index in range(rng.randint(3, 9)):
        kind = rng.choice(['event_count', 'event_count', 'value_count', 'temporal', 'temporal', 'temporal_ordered', 'temporal_ordered',
                           'temporal_ordered', 'sustained', 'value', 'detection'])
        timespan = rng.choice([2, 3, 5, 10]) * S
        rule = {'name': 'r%d' % index, 'timespan': timespan, 'group-by': rng.choice([[], ['k'], ['k', 'j']])}
        names = list(LETTERS) + [other['name'] for other in rules if other.get('passes')]
        if kind == 'detection':
            letter = rng.choice(LETTERS)
            rule['match'] = lambda event, letter=letter: event.get('x') == letter
            rule['letter'] = letter
        elif kind == 'event_count':
            rule.update(type=kind, rules=rng.sample(names, rng.randint(1, 2)), bounds=bounds(rng, 1, 4))
        elif kind == 'value_count':
            rule.update(type=kind, rules=rng.sample(names, rng.randint(1, 2)), bounds=bounds(rng, 1, 3), field='v')
        elif kind == 'value':
            kind = rng.choice(['value_sum', 'value_min', 'value_max', 'value_avg', 'value_percentile'])
            rule.update(type=kind, rules=rng.sample(names, rng.randint(1, 2)), bounds=bounds(rng, 1, 9), field='v')
            if kind == 'value_percentile':
                rule['percentile'] = rng.choice([1, 25, 50, 75, 99])
        elif kind == 'sustained':
            gap = rng.choice([None, 1 * S, timespan // 2, timespan, 2 * timespan])
            rule.update({'type': kind, 'rules': [rng.choice(LETTERS)], 'max-gap': timespan if gap is None else gap, 'gap-text': gap})
        else:
            rule.update(type=kind, **temporal(rng, names, kind == 'temporal_ordered'))
        if kind != 'detection':
            rule['passes'] = rng.random() < 0.3
        rule['incident'] = life(rng, timespan, kind)
        rules.append(rule)
    return rules


def in_yaml(rule):
    """The rule as a document of a rule file. JSON is YAML, too."""
    document = {'title': rule['name'], 'name': rule['name']}
    if 'match' in rule:
        document['logsource'] = {'product': 'gastown', 'service': 'json'}
        document['detection'] = {'s': {'x': rule.get('letter', rule['name'])}, 'condition': 's'}
    else:
        correlation = {'type': rule['type'], 'rules': rule['rules'], 'group-by': rule['group-by'], 'timespan': '%ds' % (rule['timespan'] // S)}
        if 'bounds' in rule:
            correlation['condition'] = dict(rule['bounds'])
            if 'field' in rule:
                correlation['condition']['field'] = rule['field']
            if 'percentile' in rule:
                correlation['condition']['percentile'] = rule['percentile']
        if 'needs' in rule:
            correlation['condition'] = rule.get('text', ' and '.join(rule['needs'] + ['not ' + name for name in rule['forbids']]))
        if rule.get('gap-text') is not None:
            correlation['max-gap'] = milliseconds(rule['gap-text'])
        document['correlation'] = correlation
    if 'incident' in rule:
        text = {}
        if rule['incident']['text']['resolve-after'] is not None:
            text['resolve-after'] = milliseconds(rule['incident']['text']['resolve-after'])
        if rule['incident']['text']['update-every'] is not None:
            every = rule['incident']['text']['update-every']
            text['update-every'] = every if every == 'never' else milliseconds(every)
        text['summary'] = 'x'
        document['incident'] = text
    return json.dumps(document)


def milliseconds(value):
    return '%ds' % (value // S) if value % S == 0 else '%dms' % value


# Traces ------------------------------------------------------------------------------------------------------------------------------------

def random_trace(rng, rules):
    """Events in the order of their stamps."""
    spans = [rule['timespan'] for rule in rules if 'timespan' in rule]
    steps = [0, 0, 1, 500, S]
    for span in spans:
        steps += [span - 1, span, span + 1, span // 2]
    times, keys, letters = [0], rng.randint(1, 3), rng.choice([LETTERS, 'ab', 'abc'])
    for _ in range(rng.randint(1, 30)):
        # Close behind the last event, or at an edge of a window that some earlier event is in.
        if rng.random() < 0.6:
            times.append(times[-1] + rng.choice(steps))
        else:
            times.append(max(times[-1], rng.choice(times) + rng.choice(steps)))
    events = []
    for when in times:
        event = {'time': when, 'x': rng.choice(letters)}
        if rng.random() < 0.93:
            event['k'] = 'k%d' % rng.randrange(keys)
        if rng.random() < 0.93:
            event['j'] = 'j%d' % rng.randrange(2)
        if rng.random() < 0.9:
            event['v'] = rng.choice([1, 2, 3, 5, 8])
        events.append(event)
    return events


def arrival(rng, events, lateness):
    """The same events as they may come, none later than the lateness allows."""
    if not lateness or rng.random() < 0.5:
        return events
    return [event for _, event in sorted(((event['time'] + rng.randint(0, lateness), event) for event in events), key=lambda pair: pair[0])]


def by_stamp(events):
    return sorted(events, key=lambda event: event['time'])     # stable: equal stamps in the order of the file


# Comparison --------------------------------------------------------------------------------------------------------------------------------

def tocsin_says(tocsin, rules_path, log_path, lateness, until):
    command = [tocsin, '-q', '-r', rules_path, '-o', 'jsonl', '--lateness', milliseconds(lateness)]
    if until is not None:
        command += ['--until', stamp(until)]
    result = subprocess.run(command + ['json=' + log_path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    if result.returncode != 0:
        raise SystemExit('tocsin failed with %d:\n%s' % (result.returncode, result.stderr))
    changes = []
    for line in result.stdout.splitlines():
        change = json.loads(line)
        changes.append((stamp_ms(change['time']), change['rule'], tuple(change['key'].values()), change['state'], stamp_ms(change['opened']),
                        change['value'], change['count']))
    return changes


def oracle_says(rules, events, until, mutant):
    oracle = Oracle(rules, mutant)
    changes = oracle.run(events, until)
    if oracle.tie:      # the oracle knows no order of keys
        return None
    return [(change['time'], change['rule'], change['key'], change['state'], change['opened'], change['value'], change['count'])
            for change in changes]


def grouped(changes):
    """By rule and key. What is told at the same instant of different keys has an order of its own, which is not compared here."""
    groups = {}
    for change in changes:
        groups.setdefault((change[1], change[2]), []).append(change)
    return groups


def agree(one, other):
    """Where the oracle has no opinion on a value or a count (None), tocsin's is taken."""
    if len(one) != len(other):
        return False
    for mine, theirs in zip(one, other):
        if mine[:5] != theirs[:5]:
            return False
        if theirs[5] is not None and (mine[5] is None or abs(mine[5] - theirs[5]) > 1e-6 * max(1, abs(theirs[5]))):
            return False
        if theirs[6] is not None and mine[6] != theirs[6]:
            return False
    return True


def run_case(tocsin, number, directory, show, mutant=None):
    rng = random.Random(number)
    rules = random_rules(rng)
    lateness = rng.choice([0, 0, 2 * S])
    events = arrival(rng, random_trace(rng, rules), lateness)
    until = rng.choice([None, max(event['time'] for event in events) + 100 * S])
    rules_path, log_path = os.path.join(directory, 'rules.yml'), os.path.join(directory, 'log.json')
    with open(rules_path, 'w') as out:
        out.write('\n---\n'.join(in_yaml(rule) for rule in rules) + '\n')
    with open(log_path, 'w') as out:
        for event in events:
            out.write(json.dumps({'ts': stamp(event['time']), **{name: value for name, value in event.items() if name != 'time'}}) + '\n')
    theirs = grouped(tocsin_says(tocsin, rules_path, log_path, lateness, until))
    theirs = {group: told for group, told in theirs.items() if group[0] not in LETTERS}   # detections that no correlation of this case names
    mine = oracle_says(rules, by_stamp(events), until, mutant)
    if mine is None:
        return 0, []
    mine = grouped(mine)
    wrong = [group for group in sorted(set(theirs) | set(mine), key=str) if not agree(theirs.get(group, []), mine.get(group, []))]
    if wrong or show:
        print('# case %d: lateness %s, until %s' % (number, milliseconds(lateness), until))
        for group in wrong if not show or wrong else sorted(theirs, key=str):
            rule = next(rule for rule in rules if rule['name'] == group[0])
            print('#   rule', in_yaml(rule))
            for line in theirs.get(group, []):
                print('#     tocsin', line)
            for line in mine.get(group, []):
                print('#     oracle', line)
        if show:
            for event in by_stamp(events):
                print('#   ', {**event})
    return sum(len(group) for group in theirs.values()), wrong


def compare(script, run_case):
    """The command line of this script and of snapshots.py: case after case until the time is up or one differs, or the one that is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument('tocsin')
    parser.add_argument('--cases', type=int, default=1000000)
    parser.add_argument('--seconds', type=float, default=10)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--one', type=int)
    parser.add_argument('--keep')
    parser.add_argument('--mutant')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        directory = options.keep or scratch
        if options.one is not None:
            sys.exit(1 if run_case(options.tocsin, options.one, directory, True, options.mutant)[1] else 0)
        end, first, changes = time.monotonic() + options.seconds, options.seed * 1000000, 0
        number = first
        while time.monotonic() < end and number < first + options.cases:
            told, wrong = run_case(options.tocsin, number, directory, False, options.mutant)
            changes += told
            if wrong:
                print('case %d differs; replay: tests/oracle/%s %s --one %d' % (number, script, options.tocsin, number))
                sys.exit(1)
            number += 1
    print('%d cases from %d on, %d state changes: the same' % (number - first, first, changes))


if __name__ == '__main__':
    compare('compare.py', run_case)
