import { createHash } from 'node:crypto';

/** A script as Redis knows it after SCRIPT LOAD. */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

/** Holds by their deadline, ms. */
export const EXPIRIES = 'expiries';

/** Takes units if there are so many, and keeps a hold of them. Few calls, since these are what a script costs. */
const TAKE = `
local function take(stock, hold, quantity, holder, deadline)
  if redis.call('DECRBY', stock, quantity) < 0 then
    redis.call('INCRBY', stock, quantity)
    return false
  end
  redis.call('HSET', hold, 'stock', stock, 'quantity', quantity, 'holder', holder, 'deadline', deadline)
  return true
end`;

/** KEYS: stock, hold, expiries. ARGV: quantity, holder, deadline. Returns 1, or 0 when there are too few units. */
export const HOLD = script(`${TAKE}
if not take(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[3], ARGV[3], KEYS[2])
return 1`);

/** KEYS: expiries, then stock and hold of each. ARGV: holder, deadline, then quantity of each. Returns a digit for each, 1 or 0. */
export const HOLD_MANY = script(`${TAKE}
local answers, due = {}, {}
for i = 1, #ARGV - 2 do
  local hold = KEYS[2 * i + 1]
  if take(KEYS[2 * i], hold, ARGV[i + 2], ARGV[1], ARGV[2]) then
    answers[i] = '1'
    due[#due + 1] = ARGV[2]
    due[#due + 1] = hold
  else
    answers[i] = '0'
  end
end
if #due > 0 then redis.call('ZADD', KEYS[1], unpack(due)) end
return table.concat(answers)`);

/** KEYS: expiries. ARGV: now, most holds to end. Gives their units back and returns how many holds it ended. */
export const SWEEP = script(`
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
if #due == 0 then return 0 end
local back = {}
for i = 1, #due do
  local hold = redis.call('HMGET', due[i], 'stock', 'quantity')
  back[hold[1]] = (back[hold[1]] or 0) + hold[2]
end
for stock, quantity in pairs(back) do redis.call('INCRBY', stock, quantity) end
redis.call('DEL', unpack(due))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, #due - 1)
return #due`);

/** KEYS: lock. ARGV: token. Deletes the lock of its owner only, as Redlock asks for. */
export const UNLOCK = script(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`);

export const SCRIPTS = [HOLD, HOLD_MANY, SWEEP, UNLOCK];

/** Key of a SKU's available units. */
export function stockKey(sku: string): string {
  return `stock:${sku}`;
}

function script(text: string): Script {
  const trimmed = text.trim();
  return { text: trimmed, sha: createHash('sha1').update(trimmed).digest('hex') };
}
