# -*- coding: utf-8 -*-
"""Values of applications of `unseen_values`: of code that is the same on both sides
(`unseen_same.py`), and of code that changed (`before/ferry`, `after/ferry`).
"""
import functools

from making import Day, Decimal, Moment, attributes, case, get, given, set_up, tell

same, changed = functools.partial(case, 'same'), functools.partial(case, 'changed')
here, deck, modern = [functools.partial(get, name) for name in ('unseen_same', 'ferry.deck', 'ferry.modern')]

for name, args in [
        ('Extent', (4, 3, 2, 1)), ('Station', (u'ZRH', u'Kloten')), ('Sensor', (u's',)), ('Probe', (u'p', 3)), ('Private', (u'x',)), ('Model', (u'm',)), ('Falsy', ()),
        ('Nobody', ()), ('Counted', (u'l',)), ('Interned', (u'i',)), ('Celsius', (3.5,)), ('Degrees', ('3.5',)), ('Code', (u'c', u'ch')), ('Phrase', (u'a', u'b')),
        ('Raw', (b'a\xff',)), ('Buffer', (b'ab',)), ('Level', (3,)), ('Samples', (u'm', [1, 2])), ('Checked', ([1, 2],)), ('Folded', ()), ('Indented', ()), ('Series', ([(u'a', 1)],)),
        ('Recent', ([1, 2], 3)), ('Grouped', (list,)), ('Tally', (u'aab',)), ('Frozen', ([2, 1],)), ('Names', ([u'a'], u'o')), ('Vector', (1, 2)), ('Shape', (3,)),
        ('Instant', (2024, 1, 2)), ('Holiday', (2024, 8, 1)), ('Lasting', (1, 5)), ('Offline', (u's', 3)), ('OutOfRange', (1, 2)), ('Timed', (u'm',)),
        ('Missing', (2, u'no', u'/x')), ('Key', (u'k',)), ('Many', (ValueError(1), KeyError(2))), ('Rebuilt', ()), ('Versioned', (u'b',)), ('External', (1, u'x')), ('Loop', ()),
        ('Group.Kind.Detail', (5,)), ('Old', (1, 2)), ('OldState', ()), ('Tagged', ()),
]:
    same(name, lambda name=name, args=args: here(name)(*args), tell)
same('Observation', lambda: here('Observation')(u'ZRH', Moment(2024, 1, 1), 3.5), list)
same('Empty', lambda: here('Empty')(), list)
same('Forecast', lambda: here('Forecast')([1], rain=0.5, snow=0), tell)
same('Mapping', lambda: here('Mapping')(a=1), tell)
same('Id', lambda: here('Id')(int=7), tell)
same('station of sensors', lambda: set_up(here('Station')(u'Z', u'K'), lambda v: v.add(here('Sensor')(u's'))), tell)
same('degrees of a source', lambda: set_up(here('Degrees')('1.5'), lambda v: setattr(v, 'source', u's')), tell)
same('filled index', lambda: here('Index')({u'x': [1]}), tell)
same('filled fold', lambda: set_up(here('Folded')(), lambda v: v.__setitem__(u'Wind', 3)), tell)
same('filled indent', lambda: set_up(here('Indented')(), lambda v: v.__setitem__(u'a', 3)), tell)
same('named holiday', lambda: set_up(here('Holiday')(2024, 8, 1), lambda v: setattr(v, 'name', u'n')), tell)
same('local moment', lambda: Moment(2024, 1, 1, tzinfo=here('Local')()), lambda v: [v.isoformat()])
same('rebuilt rows', lambda: set_up(here('Rebuilt')(), lambda v: v.append(1), lambda v: v.__setitem__(u'a', 2)), tell)
same('chain', lambda: functools.reduce(lambda then, n: here('Chain')(n, then), range(20), None), tell)
same('attributes', lambda: set_up(here('Tagged')(), lambda v: setattr(v, 'x', 1)), tell)
for name, use in [('called', lambda v: [v()]), ('by_code', lambda v: [v(get('unseen_same', 'Counted').__class__ and set_up(get('unseen_same', 'Interned')(u'q')))]), ('tripled', lambda v: [v(2)]),
                  ('Group.named', lambda v: [v(1)[1]]), ('Group.plain', lambda v: v(2)), ('Station', lambda v: [v.__name__])]:
    same('reference to ' + name, lambda name=name: here(name), use)
for name in ('Sky.CLEAR', 'Sky.GREY', 'Unit.FOOT', 'Step.DAY', 'Source.SHIP', 'Made.TWO', 'Alarm.STORM', 'Mode.R'):
    same('member ' + name, lambda name=name: here(name), attributes('name', 'value'))
same('members', lambda: {u'sky': here('Sky').CLOUDY, u'all': [here('Step').HOUR]}, lambda v: [v[u'sky'].name, v[u'all'][0] + 1])
same('two alarms', lambda: here('Alarm').WIND | here('Alarm').RAIN, attributes('value'))
for name, args, use in [
        ('Gauge', (u'g',), ('name', 'unit', 'readings')), ('Mark', (1,), ('x', 'y')), ('Spot', (1, 2), ('lat', 'lon')), ('Sealed', (u's',), ('name',)), ('Taller', (1, 2), ('x', 'y', 'z')),
        ('Wave', (1.5,), ('height', 'period')), ('Fixed', (1,), ('a', 'b')), ('Ordered', (1,), ('a',)), ('Typed', (1, u'b'), ('a', 'b')),
]:
    same('fields ' + name, lambda name=name, args=args: here(name)(*args), attributes(*use))
same('settings', lambda: here('Settings')(url=u'u'), attributes('url', 'port'))
same('nested settings', lambda: here('Nested')(settings=here('Settings')(url=u'u')), attributes('settings.url', 'tags'))
same('buoy', lambda: get('ferry.models', 'Buoy')(id=1, name=u'b', depth=Decimal('2.5')), attributes('id', 'name', 'depth'))
same('buoys', lambda: {u'b': [get('ferry.models', 'Buoy')(id=n, name=u'b') for n in range(2)]}, lambda v: [[b.name for b in v[u'b']]])

# What makes them where that differs between the sides.
OTHERWISE = {'Notice': (1, []), 'Quota': (1, u'm'), 'Fare': (1, 2, u'CHF'), 'Rate': (1, 2), 'Groups': (), 'Steps': (u'n',), 'Label': (u'x',)}
for name, args in [
        ('Booking', (u'c', 2)), ('Invoice', (1, 250)), ('Weather', (12,)), ('Seat', (4,)), ('Captain', (u'k',)), ('Log', ([u'a', u'b'],)), ('Cache', (5,)), ('Distance', (18.52,)),
        ('Route', ([u'a', u'b'],)), ('Stop', (u'p', 3)), ('Crew', ({u'a': 1},)), ('Delay', (5,)), ('Aboard', ([2, 1],)), ('Deck.Level', (2,)), ('Signal', (u'f', u'l')), ('Radio', (u'c',)),
        ('Menu', ([u'd'],)), ('Berth', (3,)), ('Cargo', (9,)), ('Deckhand', (u'd',)), ('Engine', (100,)), ('Fender', (2,)), ('Gauge', (2,)), ('Hatch', (4,)), ('Halyard', (u'h', 3)),
        ('Iceberg', (7,)), ('Jetty', (30,)), ('Kiosk', ()), ('Locker', ([1, -1],)), ('Manifest', ([1, 2],)), ('Notice', (4,)), ('Overboard', (u'n', u'w')), ('Refused', (u'r',)),
        ('Broken', (5, u'io')), ('Passenger', (u'p',)), ('Quota', (3,)), ('Rope', (5,)), ('Table', ([u'a', u'b'],)), ('Unit', (u'u',)), ('Valve', ([1, 2],)), ('Watch', (4,)), ('Yard', (1,)),
        ('Pair', (1, 2)), ('Label', (u'l',)), ('Digest', (b'd',)), ('Number', (2000,)), ('Balance', ('1.55',)), ('Departure', (2024, 1, 2, 3)), ('Queue', ([1, 2],)), ('Groups', ()),
        ('Steps', ([(u'a', 1)],)), ('Members', ([2, 1],)), ('Options', ({u'a': 1},)), ('Mark', (3,)), ('Beacon', (3,)),
]:
    def make(name=name, args=args):
        try:
            return deck(name)(*args)
        except (TypeError, ValueError):
            return deck(name)(*OTHERWISE[name])
    changed(name, make, tell)
for name, size, use in [('Leg', 3, ('start', 'minutes')), ('Fare', 2, ('zone', 'price')), ('Rate', 3, ('day', 'night')), ('Span', 2, ('first', 'last')), ('Price', 1, ('cents',)),
                        ('Position', 2, ('lat', 'lon')), ('Course', 2, ('degrees', 'knots'))]:
    def make(name=name, size=size):
        try:
            return deck(name)(*range(size))
        except TypeError:
            return deck(name)(*OTHERWISE[name])
    changed(name, make, attributes(*use))
changed('filled Kiosk', lambda: set_up(deck('Kiosk')(), lambda v: v.__setitem__(u'a', 1)), tell)
changed('filled Groups', lambda: set_up(deck('Groups')(), lambda v: v[u'a'].append(1)), tell)
changed('positive Locker', lambda: deck('Locker')([1, 2]), tell)
changed('small Number', lambda: deck('Number')(5), tell)
changed('set of Watch', lambda: set([deck('Watch')(4)]), lambda v: [[w.hour for w in v]])
changed('keys of Yard', lambda: {deck('Yard')(1): u'x'}, lambda v: [[y.x for y in v]])
changed('only Ship', lambda: [deck('THE_SHIP') if hasattr(get('ferry.deck'), 'THE_SHIP') else deck('OUR_SHIP')], lambda v: v[0].tell())
for name, use in [('discount', lambda v: [v(4)]), ('surcharge', lambda v: [v(4)]), ('dropped', lambda v: [v(4)]), ('Tools.plus', lambda v: [v(4)]), ('Tools.made', lambda v: v(4)), ('Tools.built', lambda v: v(4)),
                  ('Jetty', lambda v: v(4).tell()), ('Floe', lambda v: v(4).tell())]:
    changed('reference to ' + name, lambda name=name: deck(name), use)
for name in ('Pilot.SEA', 'Pilot.RIVER', 'Quay.NORTH', 'Quay.SOUTH', 'Quay.EAST', 'Rudder.LEFT', 'Umpire.SECOND', 'Vessel.CAR', 'Wind.GALE', 'Wind.STORM', 'Turned.UP', 'Sail.MAIN',
             'Access.WRITE', 'Access.OWN', 'Lights.RED', 'Lights.GREEN'):
    changed('member ' + name, lambda name=name: deck(name), attributes('name', 'value'))
changed('member by value', lambda: deck('Sail')(2), attributes('value'))
changed('number of Tide', lambda: deck('Tide').HIGH, int)
for name, args, use in [('Ticket', (u'c',), ('code',)), ('Voucher', (u'c',), ('code',)), ('Coupon', (u'c',), ('code',)), ('Permit', (3,), ('number',)), ('Swapped', (1, 2), ('first', 'second')),
                        ('Checked', (12,), ('number',)), ('Hashed', (3,), ('number',))]:
    changed('fields ' + name, lambda name=name, args=args: deck(name)(*args), attributes(*use))
changed('told Ticket', lambda: deck('Ticket')(u'c'), lambda v: [repr(v)[:6]])
changed('keys Hashed', lambda: {deck('Hashed')(3): 1}, lambda v: [[k.number for k in v]])
changed('Card', lambda: deck('Card')(number=3), attributes('number'))
changed('told Card', lambda: deck('Card')(number=3), lambda v: [repr(v)[:4], v.number])
changed('Pass', lambda: deck('Pass')(days=3), attributes('days'))
changed('Claim', lambda: deck('Claim')(cents=3), lambda v: [int(v.cents)])
for name, args, use in [('Slot', (1, 'p'), ('hour', 'pier')), ('Line', ('n',), ('name',)), ('Trip', ('r',), ('route', 'seats')), ('Haul', (3,), ('tons',)), ('Code', ('x',), ('letters',)),
                        ('Ranked', (1,), ('rank', 'name')), ('Sum', (1, 2), ('left', 'total')), ('Child', ('c',), ('name', 'age')), ('Box', (5,), ('content',))]:
    changed('today ' + name, lambda name=name, args=args: modern(name)(*args), attributes(*use))
for name, args in [('Renamed', (3,)), ('Described', (3,)), ('Sub', (1,)), ('Lazily', (4,))]:
    changed('today ' + name, lambda name=name, args=args: modern(name)(*args), tell)
changed('today Keyed', lambda: modern('Keyed')(key=3), tell)
changed('total of Haul', lambda: modern('Haul')(3), lambda v: [v.total()])
changed('told Trip', lambda: modern('Trip')('r'), lambda v: [repr(v)[:4]])
changed('told Child', lambda: modern('Child')('c'), lambda v: [v == v, repr(v)[:5]])
changed('vessel', lambda: get('ferry.models', 'Vessel')(id=1, name=u'v'), attributes('id', 'name'))
changed('sailing', lambda: get('ferry.models', 'Sailing')(id=1, at=Moment(2024, 1, 1)), lambda v: [v.id, v.at, getattr(v, 'cancelled', None) and 1])
