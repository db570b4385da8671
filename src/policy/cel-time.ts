/** Parts of timestamps and durations, in UTC or in a time zone that the expression names literally. */
import { Duration, fail } from './cel-values.ts';

type Part = (year: number, month: number, day: number, time: readonly [number, number, number], ms: number) => number;

/** Of a date as calendars show it; month from 0 as the language counts. */
const PARTS: ReadonlyMap<string, Part> = new Map<string, Part>([
  ['getFullYear', year => year],
  ['getMonth', (_year, month) => month],
  ['getDate', (_year, _month, day) => day],
  ['getDayOfMonth', (_year, _month, day) => day - 1],
  ['getDayOfWeek', (year, month, day) => new Date(Date.UTC(year, month, day)).getUTCDay()],
  ['getDayOfYear', (year, month, day) => (Date.UTC(year, month, day) - Date.UTC(year, 0, 1)) / 86400000],
  ['getHours', (_year, _month, _day, time) => time[0]],
  ['getMinutes', (_year, _month, _day, time) => time[1]],
  ['getSeconds', (_year, _month, _day, time) => time[2]],
  ['getMilliseconds', (_year, _month, _day, _time, ms) => ms],
]);

const SPANS: ReadonlyMap<string, number> = new Map([
  ['getHours', 3600000],
  ['getMinutes', 60000],
  ['getSeconds', 1000],
  ['getMilliseconds', 1],
]);

export const TIME_PARTS: readonly string[] = [...PARTS.keys()];

export const isTimePart = (name: string): boolean => PARTS.has(name);

/** A reader of one part. @throws RangeError when the zone does not exist; the caller refuses the expression. */
export function compileTimePart(name: string, zone: string | undefined): (value: unknown) => bigint {
  const part = PARTS.get(name);
  const span = SPANS.get(name);
  const inZone = zone === undefined ? undefined : createZone(zone);
  return value => {
    if (value instanceof Duration && span !== undefined && zone === undefined) {
      return BigInt(Math.trunc(value.milliseconds / span));
    }
    if (!(value instanceof Date) || part === undefined) return fail(`${name}() wants a timestamp`);
    const local = inZone === undefined ? value : new Date(inZone(value));
    const time = [local.getUTCHours(), local.getUTCMinutes(), local.getUTCSeconds()] as const;
    const ms = value.getUTCMilliseconds();
    return BigInt(part(local.getUTCFullYear(), local.getUTCMonth(), local.getUTCDate(), time, ms));
  };
}

/** Milliseconds that, read as UTC, show the wall clock of the zone. */
function createZone(zone: string): (time: Date) => number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    era: undefined,
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  return time => {
    const parts = new Map(format.formatToParts(time).map(({ type, value }) => [type, Number(value)]));
    const of = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
    return Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second'));
  };
}
