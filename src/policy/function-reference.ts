/** The functions of expressions for the reference: what each does, with an example that is true. */
import { GLOBAL_FUNCTIONS, METHODS } from './cel-functions.ts';
import { MACROS } from './cel-inspect.ts';
import { TIME_PARTS } from './cel-time.ts';

export interface FunctionEntry {
  /** As it is called. */
  readonly call: string;
  readonly meaning: string;
  /** An expression that is true; absent where it needs a variable. */
  readonly example?: string;
}

type Entries = Readonly<Record<string, FunctionEntry>>;

const GLOBALS: Entries = {
  size: {
    call: 'size(x)',
    meaning: 'Characters of a string, items of a list, members of a map.',
    example: 'size([1, 2]) == 2',
  },
  int: {
    call: 'int(x)',
    meaning: 'A string, double or timestamp (seconds since 1970) as int.',
    example: "int('42') == 42",
  },
  double: { call: 'double(x)', meaning: 'A string or int as double.', example: "double('1.5') == 1.5" },
  string: {
    call: 'string(x)',
    meaning: 'An int, double, bool, timestamp or duration as text.',
    example: "string(42) == '42'",
  },
  bool: {
    call: 'bool(x)',
    meaning: "The strings 'true', 't', '1', 'false', 'f', '0' as bool.",
    example: "bool('true')",
  },
  timestamp: {
    call: 'timestamp(x)',
    meaning: 'RFC 3339 text, or seconds since 1970, as timestamp.',
    example: "timestamp('2027-01-31T00:00:00Z') > timestamp(0)",
  },
  duration: {
    call: 'duration(x)',
    meaning: 'Text such as 1h30m, 1.5s or 500ms as duration.',
    example: "duration('1h30m') == duration('90m')",
  },
  dyn: {
    call: 'dyn(x)',
    meaning: 'The same value, its type not checked when the policy loads.',
    example: 'dyn(1) == 1',
  },
};

const ON_VALUES: Entries = {
  size: { call: 'x.size()', meaning: 'As size(x).', example: "'abc'.size() == 3" },
  startsWith: {
    call: 's.startsWith(t)',
    meaning: 'Whether the text begins so.',
    example: "'lab-7'.startsWith('lab-')",
  },
  endsWith: { call: 's.endsWith(t)', meaning: 'Whether the text ends so.', example: "'a.json'.endsWith('.json')" },
  contains: {
    call: 's.contains(t)',
    meaning: 'Whether the text holds the other one.',
    example: "'robot-7'.contains('bot')",
  },
  lowerAscii: {
    call: 's.lowerAscii()',
    meaning: 'A to Z as small letters.',
    example: "'Robot'.lowerAscii() == 'robot'",
  },
  upperAscii: { call: 's.upperAscii()', meaning: 'a to z as capitals.', example: "'ab:cd'.upperAscii() == 'AB:CD'" },
  trim: { call: 's.trim()', meaning: 'Without white space at both ends.', example: "' a '.trim() == 'a'" },
  substring: {
    call: 's.substring(from), s.substring(from, to)',
    meaning: 'Characters from one position up to, and without, another.',
    example: "'robot-7'.substring(0, 5) == 'robot'",
  },
  indexOf: {
    call: 's.indexOf(t), s.indexOf(t, from)',
    meaning: 'Position of the first occurrence, -1 for none.',
    example: "'a-b-c'.indexOf('-') == 1",
  },
  lastIndexOf: {
    call: 's.lastIndexOf(t), s.lastIndexOf(t, from)',
    meaning: 'Position of the last occurrence, -1 for none.',
    example: "'a-b-c'.lastIndexOf('-') == 3",
  },
  split: {
    call: 's.split(t), s.split(t, most)',
    meaning: 'The pieces between the separators.',
    example: "'a,b,c'.split(',') == ['a', 'b', 'c']",
  },
  join: { call: 'list.join(), list.join(t)', meaning: 'Texts as one text.', example: "['a', 'b'].join('-') == 'a-b'" },
  replace: {
    call: 's.replace(t, by), s.replace(t, by, most)',
    meaning: 'Every occurrence, or the first few, replaced.',
    example: "'a-b-c'.replace('-', '_') == 'a_b_c'",
  },
};

const LOOPS: Entries = {
  all: {
    call: 'list.all(x, condition)',
    meaning: 'Whether it holds for every item, or for every key of a map.',
    example: '[1, 2].all(x, x > 0)',
  },
  exists: {
    call: 'list.exists(x, condition)',
    meaning: 'Whether it holds for some item.',
    example: "['a', 'b'].exists(x, x == 'b')",
  },
  exists_one: {
    call: 'list.exists_one(x, condition)',
    meaning: 'Whether it holds for exactly one item.',
    example: "['a', 'b'].exists_one(x, x == 'b')",
  },
  map: {
    call: 'list.map(x, value), list.map(x, condition, value)',
    meaning: 'Something made of each item.',
    example: '[1, 2].map(x, x * 2) == [2, 4]',
  },
  filter: {
    call: 'list.filter(x, condition)',
    meaning: 'The items for which it holds.',
    example: '[1, 2].filter(x, x > 1) == [2]',
  },
};

const OTHERS: readonly FunctionEntry[] = [
  {
    call: 'has(a.b)',
    meaning: 'Whether the member is there. Never fails where `a` is a variable or a member that the tables show.',
  },
  {
    call: 's.matches(pattern)',
    meaning:
      'Whether the regular expression (RE2, a literal; linear time) is found in the text; ^ and $ for the whole of it.',
    example: "'robot-7'.matches('^robot-[0-9]+$')",
  },
];

const ZONED = "t.getHours(), t.getHours('Europe/Berlin')";

/** @throws Error when a function of the language has no entry here, so that the page cannot forget one */
export function listFunctions(): readonly FunctionEntry[] {
  const parts = {
    call: ZONED,
    meaning: `Parts of a timestamp in UTC or in a time zone (a literal): ${TIME_PARTS.join(', ')}. Months count from 0; getDayOfMonth from 0, getDate from 1. Of a duration: getHours, getMinutes, getSeconds, getMilliseconds, as totals.`,
    example: "timestamp('2027-01-31T12:00:00Z').getHours('Europe/Berlin') == 13",
  };
  return [
    ...OTHERS,
    ...entriesOf(GLOBAL_FUNCTIONS, GLOBALS),
    ...entriesOf(METHODS, ON_VALUES),
    parts,
    ...entriesOf(MACROS, LOOPS),
  ];
}

function entriesOf(functions: ReadonlyMap<string, unknown>, entries: Entries): readonly FunctionEntry[] {
  return [...functions.keys()].map(name => {
    const entry = Object.hasOwn(entries, name) ? entries[name] : undefined;
    if (entry === undefined) throw new Error(`the function ${name} is not described`);
    return entry;
  });
}
