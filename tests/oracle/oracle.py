"""What a set of correlation rules says of a list of events: a second opinion, written from tocsin-rules(5) alone.

It shares no code and no data structure with tocsin's engine, and no idea of how to be fast: the events of a key are kept for ever, and every
question about a window is answered by looking at all of them. It decides nothing about parsing: events come as dicts with a time in
milliseconds, in the order in which tocsin is to take them.

Rules are dicts, as in a rule file:  type, rules, group-by, timespan (ms), condition; for detections a predicate. Not here: caps, late
events, templates, inhibition.
"""

import heapq
import itertools
import math

BOUNDS = {
    'gt': lambda value, bound: value > bound,
    'gte': lambda value, bound: value >= bound,
    'lt': lambda value, bound: value < bound,
    'lte': lambda value, bound: value <= bound,
    'eq': lambda value, bound: value == bound,
    'neq': lambda value, bound: value != bound,
}

DAY = 24 * 3600 * 1000


def number(value):
    """The number in a field, or None."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


class Incident:
    def __init__(self, opened):
        self.opened = opened
        self.count = 0
        self.told = opened      # last open or update
        self.expires = None     # when it resolves, unless something happens
        self.value = None


class Key:
    """What one rule knows of one key."""

    def __init__(self):
        self.items = []         # (time, place, names of the rules that passed it on, event), oldest first
        self.waits = None       # the absence that is waited for: [deadline]
        self.incident = None
        self.held = 0           # sustained
        self.last_seen = None
        self.last_held = False


class Oracle:
    def __init__(self, rules, mutant=None):
        self.mutant = mutant    # a deliberate mistake, for showing that the comparison finds one
        self.rules = rules      # in an order in which inputs come before what they feed
        self.named = {rule['name']: rule for rule in rules}
        self.keys = {rule['name']: {} for rule in rules}
        self.deadlines = []     # (time, order of rule, absences first, number, what to do)
        self.numbers = itertools.count()
        self.changes = []
        self.due = set()        # (rule, time) of absences that fell due
        self.tie = False        # two keys of a rule did so at the same instant, and in which order matters to a rule above

    # Time ----------------------------------------------------------------------------------------------------------------

    def at(self, time, rule, what, ends):
        """Of one rule and instant, an absence comes before the end of an incident, which it so keeps open."""
        heapq.heappush(self.deadlines, (time, self.rules.index(rule), ends, next(self.numbers), what))

    def run_deadlines(self, until):
        """A deadline at or before an event comes before the event."""
        while self.deadlines and (self.deadlines[0][0] < until if self.mutant == 'late-deadline' else self.deadlines[0][0] <= until):
            time, _, _, _, what = heapq.heappop(self.deadlines)
            what(time)

    # Events --------------------------------------------------------------------------------------------------------------

    def run(self, events, until=None):
        for place, event in enumerate(events):
            self.run_deadlines(event['time'])
            self.take(event, place)
        if until is not None:
            self.run_deadlines(until)
        elif events:
            self.run_deadlines(events[-1]['time'])
        return self.changes

    def take(self, event, place):
        matched = [rule['name'] for rule in self.rules if 'match' in rule and rule['match'](event)]
        for name in matched:
            if 'incident' in self.named[name]:
                self.fires(self.named[name], (), event['time'], 1, 1)
        self.pass_on(set(matched), event['time'], place, event, True)

    def pass_on(self, names, time, place, event, observed=False):
        """An event goes up through all rules at once: one that several rules of a correlation pass on is still one event for it."""
        for rule in self.rules:
            if 'match' in rule:
                continue
            if rule['type'] == 'sustained':
                if observed and self.observe(rule, event):
                    names.add(rule['name'])
            elif names & set(rule['rules']):
                if self.correlate(rule, names & set(rule['rules']), time, place, event):
                    names.add(rule['name'])

    def key_of(self, rule, event):
        """The key's values; None when the event lacks one."""
        values = tuple(event.get(field) for field in rule['group-by'])
        return None if None in values else values

    def key_state(self, rule, values):
        return self.keys[rule['name']].setdefault(values, Key())

    # Correlations --------------------------------------------------------------------------------------------------------

    def correlate(self, rule, sources, time, place, event):
        """True when the event leaves the condition true."""
        values = self.key_of(rule, event)
        if values is None:
            return False
        kind = rule['type']
        field = rule.get('field')
        if kind == 'value_count' and event.get(field) is None:
            return False
        if kind in ('value_sum', 'value_avg', 'value_min', 'value_max', 'value_percentile') and number(event.get(field)) is None:
            return False
        key = self.key_state(rule, values)
        key.items.append((time, place, sources, event))
        inside = [item for item in key.items if time - rule['timespan'] < item[0] <= time
                  or self.mutant == 'closed-window' and item[0] == time - rule['timespan']]
        if kind in ('temporal', 'temporal_ordered'):
            return self.relate(rule, values, key, sources, time, place, event, inside)
        if kind == 'event_count':
            value = len(inside)
        elif kind == 'value_count':
            value = len({item[3][field] for item in inside})
        else:
            numbers = sorted(number(item[3][field]) for item in inside)
            value = {'value_sum': sum(numbers), 'value_avg': sum(numbers) / len(numbers), 'value_min': numbers[0], 'value_max': numbers[-1],
                     'value_percentile': numbers[max(0, math.ceil(len(numbers) * rule.get('percentile', 0) / 100) - 1)]}[kind]
        if all(BOUNDS[name](value, bound) for name, bound in rule['bounds'].items()):
            self.fires(rule, values, time, value, len(inside))
            return True
        self.goes_on(rule, values, time, value)
        return False

    def relate(self, rule, values, key, sources, time, place, event, inside):
        """temporal and temporal_ordered: 'needs' are the positive rules, 'forbids' the negated ones, 'rules' gives the order; 'ways': sets of
        positive rules each of which is enough."""
        needs, forbids = set(rule['needs']), set(rule['forbids'])
        ordered = rule['type'] == 'temporal_ordered'
        last = max(rule['rules'].index(name) for name in needs)
        awaited = {name for name in forbids if not ordered or rule['rules'].index(name) > last}
        if sources & awaited and key.waits and time < key.waits[0]:
            key.waits = None        # it has happened, and in time
        if sources & forbids and key.incident:
            self.resolve(rule, values, time)
        if not sources & needs:
            return False
        if 'ways' in rule:          # ordered, and some of its rules will do without others: then what is negated forbids in the timespan before
            true = any(self.in_order(dict(rule, needs=way, forbids=[]), inside) for way in rule['ways']) \
                and not any(item[2] & (forbids - awaited) for item in inside[:-1])
        elif ordered:
            true = self.in_order(rule, inside)
        else:
            true = all(any(name in item[2] for item in inside) for name in needs) and not any(item[2] & forbids for item in inside[:-1])
        if not true or key.waits:   # one deadline at a time
            self.goes_on(rule, values, time, None)
            return False
        if not awaited:
            self.fires(rule, values, time, None, None)
            return True
        key.waits = wait = [time + rule['timespan']]

        def due(now):
            if key.waits is wait:
                key.waits = None
                fed = any(rule['name'] in above.get('rules', []) for above in self.rules)
                self.tie |= fed and (rule['name'], now) in self.due
                self.due.add((rule['name'], now))
                self.fires(rule, values, now, None, None)
                self.pass_on({rule['name']}, now, place, event)
        self.at(wait[0], rule, due, False)
        return False

    @staticmethod
    def in_order(rule, inside):
        """Whether the positive rules stand in the window in the order of the list, with no negated one before the first or between.

        A negated rule before the first positive one must not be in the window; one between two positive ones, not between those two."""
        needs = [name for name in rule['rules'] if name in rule['needs']]
        order = {name: index for index, name in enumerate(rule['rules'])}
        first = order[needs[0]]
        if any(order[name] < first for item in inside[:-1] for name in item[2] & set(rule['forbids'])):
            return False

        def place_rest(start, rest, previous):
            if not rest:
                return True
            for index in range(start, len(inside)):
                names = inside[index][2]
                completes = len(rest) > 1 or index == len(inside) - 1       # what completes it is this event, of the last rule
                if rest[0] in names and completes and place_rest(index + 1, rest[1:], rest[0]):
                    return True
                if previous is not None and any(order[previous] < order[name] < order[rest[0]] for name in names & set(rule['forbids'])):
                    return False        # it is between whatever comes later
            return False
        return place_rest(0, needs, None)

    def observe(self, rule, event):
        """sustained: every event of the source with the key is an observation."""
        values = self.key_of(rule, event)
        if values is None:
            return False
        key = self.key_state(rule, values)
        time = event['time']
        holds = self.named[rule['rules'][0]]['match'](event)
        gap = None if key.last_seen is None else time - key.last_seen
        if gap is not None and gap >= DAY:
            key.held, key.last_held = 0, False
        if not holds:
            key.held = 0
        elif key.last_held and gap is not None and gap <= rule['max-gap']:
            key.held += gap
        key.last_seen, key.last_held = time, holds
        if not holds:
            if key.incident and rule['incident']['resolve-after']:
                if key.incident.expires is None:
                    self.expire(rule, values, key.incident, time + rule['incident']['resolve-after'])
            elif key.incident:
                self.resolve(rule, values, time)
        elif key.held >= rule['timespan']:
            self.fires(rule, values, time, key.held / 1000, None)
            return True
        return False

    # Incidents -----------------------------------------------------------------------------------------------------------

    def tell(self, rule, values, state, time):
        incident = self.key_state(rule, values).incident
        self.changes.append({'state': state, 'rule': rule['name'], 'key': values, 'time': time, 'opened': incident.opened,
                             'value': incident.value, 'count': incident.count})

    def fires(self, rule, values, time, value, events_in_window):
        """An event, or a deadline, left the condition true."""
        if 'incident' not in rule:
            return
        key = self.key_state(rule, values)
        options = rule['incident']
        if key.incident is None:
            key.incident = Incident(time)
            key.incident.value = value
            key.incident.count = events_in_window
            self.tell(rule, values, 'open', time)
        else:
            key.incident.value = value
            if key.incident.count is not None:
                key.incident.count += 1
            if options['update-every'] is not None and time - key.incident.told >= options['update-every']:
                key.incident.told = time
                self.tell(rule, values, 'update', time)
        if rule.get('type') == 'sustained':
            key.incident.expires = None     # resolve-after begins when it is seen to end
        else:
            self.expire(rule, values, key.incident, time + options['resolve-after'])

    def goes_on(self, rule, values, time, value):
        """An event that does not leave the condition true is evidence all the same while the incident is open."""
        key = self.key_state(rule, values)
        if 'incident' in rule and key.incident:
            key.incident.value = value
            if key.incident.count is not None:
                key.incident.count += 1

    def expire(self, rule, values, incident, time):
        incident.expires = time

        def due(now):
            key = self.key_state(rule, values)
            if key.incident is incident and incident.expires == now:
                self.resolve(rule, values, now)
        self.at(time, rule, due, True)

    def resolve(self, rule, values, time):
        self.tell(rule, values, 'resolved', time)
        self.key_state(rule, values).incident = None
