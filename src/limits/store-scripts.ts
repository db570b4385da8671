/**
 * What the shared store does in one step, by its own clock: pods' clocks differ. Times in the store are milliseconds since
 * a moment of 2023, so that a number of 64 bits keeps their fractions.
 */
import { createHash } from 'node:crypto';

export interface Script {
  readonly text: string;
  /** Hex of the SHA-1 by which the store knows it. */
  readonly sha1: string;
}

const script = (text: string): Script => ({ text, sha1: createHash('sha1').update(text).digest('hex') });

/** ARGV: interval, window (milliseconds), mode. Answers [admitted, milliseconds until all calls are back]; see gcra.ts. */
export const RATE = script(`local time = redis.call('TIME')
local now = (tonumber(time[1]) - 1700000000) * 1000 + tonumber(time[2]) / 1000
local interval, window, mode = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local before = tonumber(redis.call('GET', KEYS[1]) or '') or now
local start = math.min(math.max(before, now), now + window)
local early = start + interval - window - now > interval / 1000
if mode == 'count' or (mode == 'admit' and not early) then
  start = start + interval
  redis.call('SET', KEYS[1], string.format('%.17g', start), 'PX', math.ceil(start - now))
end
return {early and 0 or 1, string.format('%.17g', start - now)}`);

/** ARGV: calls, period (milliseconds), mode. Answers [admitted, calls counted, milliseconds left of the window]. */
export const QUOTA = script(`local calls, period, mode = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local used = tonumber(redis.call('GET', KEYS[1]) or '') or 0
local left = redis.call('PTTL', KEYS[1])
if left < 0 then used = 0 end
if left > period then
  redis.call('PEXPIRE', KEYS[1], period)
  left = period
end
local admitted = used < calls
if mode == 'count' or (mode == 'admit' and admitted) then
  used = used + 1
  if used == 1 then redis.call('SET', KEYS[1], 1, 'PX', period) else redis.call('INCR', KEYS[1]) end
end
if left < 0 then left = period end
return {admitted and 1 or 0, used, left}`);

/** ARGV: most that may be held, lifetime (milliseconds), lease. Answers whether it is held. Leases that were lost end. */
export const ACQUIRE = script(`local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`);

/** ARGV: lifetime (milliseconds), leases. Those that the store has forgotten are held again. */
export const RENEW = script(`local time = redis.call('TIME')
local ends = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[1])
for at = 2, #ARGV do redis.call('ZADD', KEYS[1], ends, ARGV[at]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1`);

/** ARGV: lease. */
export const RELEASE = script(`return redis.call('ZREM', KEYS[1], ARGV[1])`);
